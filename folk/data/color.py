"""Changes of color of a view: drawn where the image is read, made there or on the device.

On the CPU an image is an array of rows of RGB pixels. OpenCV is used because it is an order of
magnitude faster than Pillow. Brightness, contrast and solarization use lookup tables and match
Pillow bit for bit. Saturation and gray differ from Pillow by 1 in places. A shifted hue is, as with
Pillow, about one level off the exact rotation on average; a blur is a true Gaussian, where Pillow
approximates it with three boxes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import pad

Colors = UInt8[np.ndarray, "_h _w 3"]

cv2.setNumThreads(1)  # many processes load images, each with a core of its own

_VALUES = np.arange(256, dtype=np.float32)
_RED, _GREEN, _BLUE = np.uint32(19595), np.uint32(38470), np.uint32(7471)  # of 65536, ITU-R 601
_HALF = np.uint32(0x8000)


def brightened(colors: Colors, factor: float) -> Colors:
    """Multiply every value."""
    return cv2.LUT(colors, _away_from(0, factor))


def contrasted(colors: Colors, factor: float) -> Colors:
    """Move every value away from the image's mean gray, or towards it."""
    red, green, blue = np.moveaxis(colors, 2, 0)
    gray: np.ndarray = (red * _RED + green * _GREEN + blue * _BLUE + _HALF) >> np.uint32(16)
    return cv2.LUT(colors, _away_from(int(gray.mean() + 0.5), factor))


def saturated(colors: Colors, factor: float) -> Colors:
    """Move every pixel away from its gray, or towards it."""
    return cv2.addWeighted(colors, factor, grayed(colors), 1.0 - factor, 0.0)


def hue_shifted(colors: Colors, turns: float) -> Colors:
    """Turn the color circle; 256 steps make a turn."""
    hsv = cv2.cvtColor(colors, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(round(turns * 256) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def grayed(colors: Colors) -> Colors:
    """Take the colors away; three equal channels stay."""
    return cv2.cvtColor(cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def blurred(colors: Colors, radius: float) -> Colors:
    """Blur with a Gaussian whose standard deviation is `radius` pixels."""
    return cv2.GaussianBlur(colors, (0, 0), radius)


def solarized(colors: Colors, threshold: int) -> Colors:
    """Invert every value that is not below the threshold."""
    inverted = np.where(threshold > _VALUES, _VALUES, 255 - _VALUES)
    return cv2.LUT(colors, inverted.astype(np.uint8))


def _away_from(middle: int, factor: float) -> UInt8[np.ndarray, "256"]:
    """The table of `middle + factor * (value - middle)`, cut off as Pillow does."""
    start = np.float32(middle)
    moved = start + np.float32(factor) * (_VALUES - start)
    return moved.clip(0, 255).astype(np.uint8)


SOLARIZE_FROM = 128

Levels = Float[Tensor, "b 3 h w"]  # whole, from 0 to 255
Own = Float[Tensor, "b 1 1 1"]  # a number for each image
Change = Callable[[Tensor, Tensor], Tensor]

_STEPS = (brightened, contrasted, saturated, hue_shifted)


@dataclass(frozen=True)
class ColorChange:
    """All that was drawn of the colors of one view.

    Attributes:
        steps: in this order, (0, factor of brightness), (1, of contrast), (2, of saturation),
            (3, turns of hue); each at most once.
        gray: True takes the colors away.
        sigma: standard deviation of the blur in pixels; 0 is none.
        solarize: True inverts the brighter half.
    """

    steps: tuple[tuple[int, float], ...] = ()
    gray: bool = False
    sigma: float = 0.0
    solarize: bool = False

    def __call__(self, colors: Colors) -> Colors:
        """Make the change on the CPU; new memory unless nothing changes."""
        for step, value in self.steps:
            colors = _STEPS[step](colors, value)
        if self.gray:
            colors = grayed(colors)
        if self.sigma:
            colors = blurred(colors, self.sigma)
        return solarized(colors, SOLARIZE_FROM) if self.solarize else colors

    def numbers(self) -> Float[Tensor, "11"]:
        """The change in numbers, as `recolored` takes it: step and value four times, the rest."""
        steps = [number for step in self.steps for number in step]
        none = [-1.0, 0.0] * (len(_STEPS) - len(self.steps))
        rest = [float(self.gray), self.sigma, float(self.solarize)]
        return torch.tensor([*steps, *none, *rest], dtype=torch.float64)


def recolored(
    images: UInt8[Tensor, "b 3 h w"], changes: Float[Tensor, "b 11"]
) -> UInt8[Tensor, "b 3 h w"]:
    """Make the changes of a batch on the device of the images, with the values of `ColorChange`.

    Values are whole gray levels after each step, as on the CPU. Brightness, contrast, gray and
    solarization have the CPU's values; a saturation or a hue differs by 1 where it lies between
    two levels, a blur by 1, rarely 2, because OpenCV rounds its weights to 1/256.

    Args:
        images: the views, cropped and flipped.
        changes: `ColorChange.numbers` of each, on the CPU.
    """
    levels = images.to(torch.float32, memory_format=torch.contiguous_format)

    def change(chosen: Bool[Tensor, "b"], how: Change, values: Float[Tensor, "b"]) -> None:
        if chosen.any():
            rows = torch.nonzero(chosen)[:, 0].to(levels.device)
            own = values[chosen].float().view(-1, 1, 1, 1).to(levels.device)
            levels.index_copy_(0, rows, how(levels.index_select(0, rows), own))

    for slot in range(0, 2 * len(_STEPS), 2):
        for step, how in enumerate((_brightened, _contrasted, _saturated, _hue_shifted)):
            change(changes[:, slot] == step, how, changes[:, slot + 1])
    gray, sigma, solarize = changes[:, 2 * len(_STEPS) :].unbind(1)
    change(gray > 0, _grayed, gray)
    reach = torch.where(sigma > 0, _reach(sigma), -1)
    for far in reach[reach >= 0].unique().tolist():  # no image is read further than it needs
        change(reach == far, partial(_blurred, far), sigma)
    change(solarize > 0, _solarized, solarize)
    return levels.to(torch.uint8)


def _brightened(levels: Levels, factor: Own) -> Levels:
    return (factor * levels).clamp(0.0, 255.0).floor()


def _contrasted(levels: Levels, factor: Own) -> Levels:
    # Sums of whole numbers below 2^24 are exact in float32.
    gray = _weighted(levels, (19595.0, 38470.0, 7471.0), 65536.0)
    middle = (gray.double().mean((1, 2, 3), keepdim=True) + 0.5).floor().float()
    return (middle + factor * (levels - middle)).clamp(0.0, 255.0).floor()


def _saturated(levels: Levels, factor: Own) -> Levels:
    mixed = levels * factor + _grayed(levels, factor) * (1.0 - factor)
    return mixed.round().clamp(0.0, 255.0)


def _grayed(levels: Levels, _: Own) -> Levels:
    return _weighted(levels, (9798.0, 19235.0, 3735.0), 32768.0).expand_as(levels)


def _weighted(levels: Levels, weights: tuple[float, ...], unit: float) -> Float[Tensor, "b 1 h w"]:
    red, green, blue = levels.split(1, dim=1)
    total: Tensor = red * weights[0] + green * weights[1] + blue * weights[2]
    return ((total + unit / 2) / unit).floor()


def _hue_shifted(levels: Levels, turns: Own) -> Levels:
    """Shift the hue in steps of 1/256 turn, between two conversions that OpenCV rounds."""
    red, green, blue = levels.unbind(1)
    value, spread = levels.amax(1), levels.amax(1) - levels.amin(1)
    sixths = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red + 2.0 * spread, red - green + 4.0 * spread),
    )
    hue = _in_4096ths(sixths * _of(spread, 256.0 / 6.0))
    saturation = _in_4096ths(spread * _of(value, 255.0)) / 255.0
    hue = (hue + (256.0 * turns[:, 0]).round()).remainder(256.0) * (6.0 / 255.0)
    value = value / 255.0
    shades = []
    for corner in (5.0, 3.0, 1.0):  # sixths of the circle, for red, green and blue
        at = (corner + hue).remainder(6.0)
        shades.append(value - value * saturation * torch.minimum(at, 4.0 - at).clamp(0.0, 1.0))
    return (255.0 * torch.stack(shades, dim=1)).round()


def _of(levels: Float[Tensor, "b h w"], whole: float) -> Float[Tensor, "b h w"]:
    """Return `whole` over the levels in 4096ths, rounded; 0 of 0."""
    quotients = (4096.0 * whole / torch.arange(256, dtype=torch.float64)).round()
    quotients[0] = 0.0
    return quotients.float().to(levels.device)[levels.long()]


def _in_4096ths(product: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    return ((product + 2048.0) / 4096.0).floor()


def _reach(sigma: Float[Tensor, "b"]) -> Int[Tensor, "b"]:
    """Pixels to each side that OpenCV's weights of 8 bits reach: half of an odd number."""
    return (6.0 * sigma + 1.0).round().long() // 2


def _blurred(far: int, levels: Levels, sigma: Own) -> Levels:
    """Blur rows, then columns."""
    offsets = torch.arange(-far, far + 1, device=levels.device).view(-1, 1, 1, 1, 1)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum(0)
    for sides in ((far, far, 0, 0), (0, 0, far, far)):
        wide = pad(levels, sides, mode="reflect")
        dim = 3 if sides[0] else 2
        size = levels.shape[dim]
        levels = torch.zeros_like(levels)
        for start, weight in enumerate(weights):
            levels.addcmul_(wide.narrow(dim, start, size), weight.expand_as(levels))
    return levels.round().clamp(0.0, 255.0)


def _solarized(levels: Levels, _: Own) -> Levels:
    return torch.where(levels < SOLARIZE_FROM, levels, 255.0 - levels)
