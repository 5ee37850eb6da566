"""Sliding windows cover every pixel and average where they overlap."""

import pytest
import torch

from folk.stages.windows import sliding_logits


@pytest.mark.parametrize(
    ("height", "width", "size", "stride"), [(8, 8, 8, 8), (20, 13, 8, 5), (9, 8, 8, 8)]
)
def test_windows_of_a_pointwise_segmenter_change_nothing(height, width, size, stride):
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    seen = []

    def segmenter(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[-2:])
        return part * 2

    torch.testing.assert_close(sliding_logits(segmenter, images, size, stride), images * 2)
    assert set(seen) == {(size, size)}


def test_the_published_window_and_stride_make_four_windows_of_a_683_pixel_image():
    count = 0

    def segmenter(part: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        return part

    sliding_logits(segmenter, torch.zeros(1, 3, 683, 853), 512, 341)
    assert count == 4
