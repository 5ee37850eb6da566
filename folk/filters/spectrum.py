"""The half of an image's spectrum that `torch.fft.rfft2` returns, and how often each bin counts.

The spectrum of a real image repeats itself: bin (y, x) and bin (-y, -x) are conjugate. Only the
columns x = 0 .. w // 2 are kept, without any shift; the mean color is at [0, 0].
"""

from typing import Any, Literal

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_BYTES = 2_500_000  # of a spectrum; what a CPU transposes without leaving its cache


def half_width(width: int) -> int:
    """Return the number of columns of the half spectrum of an image `width` pixels wide."""
    return width // 2 + 1


def multiplicity(width: int, device: torch.device) -> Int[Tensor, "w_half"]:
    """Return how many bins of the full spectrum each column of the half spectrum represents.

    Columns 0 and, for even widths, w / 2 hold both partners of each conjugate pair; every other
    column represents itself and its mirror image.
    """
    counts = torch.full((half_width(width),), 2, dtype=torch.int64, device=device)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts


def half_spectrum(images: Tensor, norm: str = "backward") -> Tensor:
    """Transform images [..., h, w] to [..., h, w // 2 + 1], in float32 or better.

    Half precision would lose the small coefficients next to the large ones.
    """
    wide = images if images.dtype == torch.float64 else images.float()
    spectrum: Tensor = torch.fft.rfft2(wide, norm=norm)
    return spectrum


def weighted_inverse(
    spectrum: Complex[Tensor, "b c h w_half"],
    weights: Float[Tensor, "b m h w_half"] | Bool[Tensor, "b m h w_half"],
    width: int,
    norm: Literal["backward", "ortho"] = "backward",
) -> Float[Tensor, "b c h w"]:
    """Weigh the coefficients of half spectra and return to images of a width."""
    count, size = len(spectrum), (spectrum.shape[-2], width)
    if not spectrum.is_cuda:
        # Before each of its two steps torch transposes all that it is given.
        count = max(1, BLOCK_BYTES // spectrum[0].nbytes)
    parts = zip(torch.split(spectrum, count), torch.split(weights, count), strict=True)
    return torch.cat([torch.fft.irfft2(part * by, s=size, norm=norm) for part, by in parts])


def squared_moduli(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w_half"]:
    """Return the squared moduli of the orthonormal half spectra, in the images' precision."""
    moduli: Tensor = _SquaredModuli.apply(images)
    return moduli


class _SquaredModuli(torch.autograd.Function):
    """One real transform each way; torch's own gradient of `rfft2` is a full, complex one."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        spectrum = half_spectrum(images, norm="ortho")
        ctx.save_for_backward(spectrum)
        ctx.width = images.shape[-1]
        squared: Tensor = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
        return squared

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (spectrum,) = ctx.saved_tensors
        # The inverse adds the mirror image of a column, which the slope has counted already.
        slope = slope * (2.0 / multiplicity(ctx.width, slope.device))
        return weighted_inverse(spectrum, slope, ctx.width, norm="ortho")


def bin_positions(
    height: int, width: int, device: torch.device
) -> tuple[Float[Tensor, "h"], Float[Tensor, "w_half"]]:
    """Return the rows and columns of the half spectrum as signed frequencies, in bins."""
    rows = torch.fft.fftfreq(height, 1 / height, device=device).round()
    return rows, torch.arange(half_width(width), device=device, dtype=rows.dtype)


def bin_distance_squared(
    height: int, width: int, device: torch.device
) -> Float[Tensor, "h w_half"]:
    """Return the squared distance of each bin from the mean color, in bins (1 bin = 1 cycle)."""
    rows, columns = bin_positions(height, width, device)
    squared: Tensor = rows[:, None].square() + columns.square()
    return squared


def symmetrized(values: Tensor, width: int) -> Tensor:
    """Give both partners of each stored conjugate pair the larger of their two values.

    Columns 0 and, for even widths, w / 2 of a half spectrum hold both partners of a pair. A mask
    that treats them differently leaves an image that is not real.

    Args:
        values: [..., h, w // 2 + 1], not changed.
        width: of the image in pixels.
    """
    values = values.clone()
    for column in (0, width // 2) if width % 2 == 0 else (0,):
        own = values[..., column]
        partner = own.flip(-1).roll(1, -1)  # row y meets row -y
        values[..., column] = torch.maximum(own, partner)
    return values
