"""Application of masks to images."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from folk.filters.base import Images, Keep
from folk.filters.spectrum import half_spectrum, half_width, weighted_inverse


def apply_filter(
    images: Images,
    keep: Keep,
    clamp: bool = True,
    inverse: Literal["real", "abs"] = "real",
) -> Images:
    """Remove the frequencies that are not kept.

    Args:
        images: colors in [0, 1].
        keep: masks that treat bin k and bin -k alike, as all filters do.
        clamp: clip the result to [0, 1], as MFM's code does. On a high-pass image this cuts off
            about half of the pixels and brings the mean color back; see `clipped_fraction`.
        inverse: "abs" folds negative values up, as CoinCheung/MFM does, instead of keeping them.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py L198-210.
    """
    height, width = images.shape[-2:]
    assert keep.shape[-2:] == (height, half_width(width)), "the mask is for another image size"
    filtered: Tensor = weighted_inverse(half_spectrum(images), keep, width)
    if inverse == "abs":
        filtered = filtered.abs()
    return filtered.clamp(0.0, 1.0) if clamp else filtered


def clipped_fraction(unclamped: Images) -> Float[Tensor, ""]:
    """Return the share of values that a clip to [0, 1] would change; input of `clamp=False`."""
    return ((unclamped < 0.0) | (unclamped > 1.0)).float().mean()
