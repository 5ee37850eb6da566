"""What the stages share when they read images."""

import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.stages.images import micro_batches, normalize, whole_batches


@pytest.mark.parametrize(
    ("local_batch", "max_batch", "sizes"),
    [(8, None, [8]), (8, 8, [8]), (8, 3, [2, 2, 2, 2]), (12, 5, [4, 4, 4]), (7, 3, [1] * 7)],
)
def test_a_batch_is_cut_into_equal_parts_that_fit(local_batch, max_batch, sizes):
    parts = list(micro_batches(local_batch, max_batch))

    assert [part.stop - part.start for part in parts] == sizes
    assert parts[0].start == 0
    assert parts[-1].stop == local_batch


def test_too_few_images_for_a_batch_are_refused():
    assert whole_batches(130, 64, "images") == 2
    with pytest.raises(InputError, match=r"images: 10 images are fewer than one batch of 64"):
        whole_batches(10, 64, "images")


def test_normalized_colors_have_mean_zero_and_deviation_one():
    images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mean, std = images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3))

    normal = normalize(images, mean.tolist(), std.tolist())

    torch.testing.assert_close(normal.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-5, rtol=0)
