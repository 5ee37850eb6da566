"""Color operations on one image, an array of rows of RGB pixels.

OpenCV is used because it is an order of magnitude faster than Pillow. Brightness, contrast and
solarization use lookup tables and match Pillow bit for bit. Saturation and gray differ from Pillow
by 1 in places. A shifted hue is, as with Pillow, about one level off the exact rotation on average;
a blur is a true Gaussian, where Pillow approximates it with three boxes.
"""

import cv2
import numpy as np
from jaxtyping import UInt8

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
