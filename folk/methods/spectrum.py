"""The half of a picture's spectrum that `torch.fft.rfft2` returns, and how often each bin counts.

The spectrum of a real picture repeats itself: bin (y, x) and bin (-y, -x) are conjugate. Only the
columns x = 0 .. w // 2 are kept, without any shift; the mean colour stands at [0, 0].
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def half_width(width: int) -> int:
    """Return the number of columns of the half spectrum of a picture `width` pixels wide."""
    return width // 2 + 1


def multiplicity(width: int, device: torch.device) -> Int[Tensor, "w_half"]:
    """Return how many bins of the full spectrum each column of the half spectrum stands for.

    Columns 0 and, for even widths, w / 2 hold both partners of each conjugate pair; every other
    column stands for itself and its mirror image.
    """
    counts = torch.full((half_width(width),), 2, dtype=torch.int64, device=device)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts


def half_spectrum(pictures: Tensor, norm: str = "backward") -> Tensor:
    """Transform pictures [..., h, w] to [..., h, w // 2 + 1], in float32 or better.

    Half precision would lose the small coefficients beside the large ones.
    """
    wide = pictures if pictures.dtype == torch.float64 else pictures.float()
    spectrum: Tensor = torch.fft.rfft2(wide, norm=norm)
    return spectrum


def bin_positions(
    height: int, width: int, device: torch.device
) -> tuple[Float[Tensor, "h"], Float[Tensor, "w_half"]]:
    """Return the rows and columns of the half spectrum as signed frequencies, in bins."""
    rows = torch.fft.fftfreq(height, 1 / height, device=device).round()
    return rows, torch.arange(half_width(width), device=device, dtype=rows.dtype)


def bin_distance_squared(
    height: int, width: int, device: torch.device
) -> Float[Tensor, "h w_half"]:
    """Return the squared distance of each bin from the mean colour, in bins (1 bin = 1 cycle)."""
    rows, columns = bin_positions(height, width, device)
    squared: Tensor = rows[:, None].square() + columns.square()
    return squared


def symmetrised(values: Tensor, width: int) -> Tensor:
    """Give both partners of each stored conjugate pair the larger of their two values.

    Columns 0 and, for even widths, w / 2 of a half spectrum hold both partners of a pair. A mask
    that treats them differently leaves a picture that is not real.

    Args:
        values: [..., h, w // 2 + 1], not changed.
        width: of the picture in pixels.
    """
    values = values.clone()
    for column in (0, width // 2) if width % 2 == 0 else (0,):
        own = values[..., column]
        partner = own.flip(-1).roll(1, -1)  # row y meets row -y
        values[..., column] = torch.maximum(own, partner)
    return values
