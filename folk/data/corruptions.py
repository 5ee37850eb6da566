"""Simple image corruptions, applied in memory, for demos.

ImageNet-C is a set of JPEG files and is read as such: recomputing its corruptions gives other
images, and other numbers. The corruptions below share names with it where the idea is the same,
but the strengths are our own, so their numbers are not comparable with ImageNet-C.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from folk.data.pixels import Pixels, from_array, to_array
from folk.data.transforms import EvalTransform
from folk.evidence.core.errors import InputError, nearest

Pixel8 = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class CorruptedImage:
    """The center of an image, as classifiers are measured on it, then corrupted.

    Attributes:
        center: cuts the center out; corruption comes after it, as in ImageNet-C.
        corruption: a name of `CORRUPTIONS`.
        severity: 1 to 5.

    Raises:
        InputError: unknown corruption.
    """

    center: EvalTransform
    corruption: str
    severity: int

    def __post_init__(self) -> None:
        if self.corruption not in CORRUPTIONS:
            hint = nearest(self.corruption, CORRUPTIONS)
            raise InputError(f"unknown corruption '{self.corruption}'{hint}")

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Cut and corrupt; only noise draws from `rng`."""
        center = to_array(self.center(pixels, rng))
        return from_array(corrupt(center, self.corruption, self.severity, rng))


def corrupt(
    pixels: Pixel8, corruption: str, severity: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Corrupt one image.

    Args:
        pixels: RGB, 0 to 255.
        corruption: a name of `CORRUPTIONS`.
        severity: 1 to 5.
        rng: source of the noise.
    """
    return CORRUPTIONS[corruption](pixels, severity / 5, rng)


# Each takes its strength in (0, 1], 1 at severity 5.


def gaussian_noise(pixels: Pixel8, strength: float, rng: np.random.Generator) -> Pixel8:
    """Add normal noise with a deviation of up to 0.25 of the range, to each color alone."""
    noise = rng.normal(0.0, 0.25 * strength * 255.0, pixels.shape)
    return _rounded(pixels + noise)


def gaussian_blur(pixels: Pixel8, strength: float, rng: np.random.Generator) -> Pixel8:
    """Blur with a deviation of up to 1/16 of the shorter side."""
    radius = strength * min(pixels.shape[:2]) / 16
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def contrast(pixels: Pixel8, strength: float, rng: np.random.Generator) -> Pixel8:
    """Draw every color towards its mean over the image, leaving down to 0.15 of the distance."""
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    return _rounded(mean + (1.0 - 0.85 * strength) * (pixels - mean))


def brightness(pixels: Pixel8, strength: float, rng: np.random.Generator) -> Pixel8:
    """Add up to half of the range."""
    return _rounded(pixels + 0.5 * strength * 255.0)


def pixelate(pixels: Pixel8, strength: float, rng: np.random.Generator) -> Pixel8:
    """Shrink by averaging, down to 1/4 of the side, and grow again without smoothing."""
    height, width = pixels.shape[:2]
    share = 1.0 - 0.75 * strength
    small = (max(1, round(width * share)), max(1, round(height * share)))
    shrunk = Image.fromarray(pixels).resize(small, Image.Resampling.BOX)
    return np.array(shrunk.resize((width, height), Image.Resampling.NEAREST))


def jpeg_compression(pixels: Pixel8, strength: float, rng: np.random.Generator) -> Pixel8:
    """Compress with a quality from 41 down to 5, on Pillow's scale of 1 to 95."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(50 - 45 * strength))
    return np.array(Image.open(buffer).convert("RGB"))


CORRUPTIONS: dict[str, Callable[[Pixel8, float, np.random.Generator], Pixel8]] = {
    step.__name__: step
    for step in (
        gaussian_noise,
        gaussian_blur,
        contrast,
        brightness,
        pixelate,
        jpeg_compression,
    )
}


def _rounded(values: np.ndarray) -> Pixel8:
    pixels: np.ndarray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels
