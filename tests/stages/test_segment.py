"""The loss of segmentation does not depend on how a batch is divided."""

import pytest
import torch

from folk.data.joint import IGNORE
from folk.stages.tasks.segment import pixel_loss


def test_the_loss_of_a_batch_is_the_mean_of_its_images_losses():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 8, 8, generator=generator)
    targets = torch.randint(3, (4, 8, 8), generator=generator)
    for number, rows in enumerate([0, 2, 5, 8]):  # without annotation; the last image has none
        targets[number, :rows] = IGNORE

    parts = [pixel_loss(logits[[i]], targets[[i]]) for i in range(4)]

    torch.testing.assert_close(torch.stack(parts).mean(), pixel_loss(logits, targets))
    assert parts[-1] == 0.0


def test_pixels_without_annotation_count_as_zero():
    targets = torch.tensor([[[0, IGNORE, IGNORE, 1]]])
    logits = torch.zeros(1, 2, 1, 4)

    assert pixel_loss(logits, targets).item() == pytest.approx(2 / 4 * 0.693147, rel=1e-5)
