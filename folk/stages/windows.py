"""Sliding-window inference of a segmenter on larger images."""

from collections.abc import Callable, Iterator

from jaxtyping import Float
from torch import Tensor


def sliding_logits(
    segmenter: Callable[[Tensor], Tensor],
    images: Float[Tensor, "b 3 h w"],
    size: int,
    stride: int,
) -> Float[Tensor, "b k h w"]:
    """Average a segmenter's logits over overlapping windows that cover the whole image.

    Args:
        segmenter: [b, 3, size, size] -> [b, k, size, size].
        images: normalized; at least `size` pixels along both sides.
        size: side of a window in pixels.
        stride: pixels between neighboring windows; the last one ends at the border.

    Source: BEiT on ADE20K, microsoft/unilm@86f74f0: window 512, stride 341.
    """
    height, width = images.shape[-2:]
    total: Tensor | None = None
    count = images.new_zeros(1, 1, height, width)
    for top in _starts(height, size, stride):
        for left in _starts(width, size, stride):
            place = (..., slice(top, top + size), slice(left, left + size))
            logits = segmenter(images[place])
            if total is None:
                total = logits.new_zeros(len(images), logits.shape[1], height, width)
            total[place] += logits
            count[place] += 1
    assert total is not None, "an image has at least one window"
    return total / count


def _starts(length: int, size: int, stride: int) -> Iterator[int]:
    for start in range(0, max(length - size, 0) + stride, stride):
        yield min(start, max(length - size, 0))
        if start + size >= length:
            return
