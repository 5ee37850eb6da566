"""Single augmentation steps; each draws from the generator that it is given."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from folk.data.color import ColorChange, Colors
from folk.data.pixels import Interpolation, Pixels, resized
from folk.evidence.core.errors import InputError

# ImageNet's mean and deviation in [0, 1], the neutral color of what augmentation fills in.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class RandomCrop:
    """A random part of the image, resized to a square, mirrored half of the time.

    Attributes:
        size: side of the result in pixels.
        scale: smallest and largest share of the image's area, in (0, 1].
        flip: probability of mirroring.
        ratio: smallest and largest width over height of the part.
        interpolation: of the resize.

    Source: torchvision's RandomResizedCrop, whose draw this follows (area uniform, ratio uniform in
        its logarithm, ten tries, else the largest central part), with a generator of our own.
    """

    size: int
    scale: tuple[float, float]
    flip: float = 0.5
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        if not 0.0 < self.scale[0] <= self.scale[1] <= 1.0:
            raise InputError(
                f"views: invalid crop scale {list(self.scale)}; give 0 < smallest <= largest <= 1"
            )

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Cut, resize, perhaps mirror."""
        _, height, width = pixels.shape
        top, left, h, w = self._part(height, width, rng)
        part = pixels[:, top : top + h, left : left + w]
        crop = resized(part, self.size, self.size, self.interpolation)
        return crop.flip(2) if rng.random() < self.flip else crop

    def _part(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (height - h) // 2, (width - w) // 2, h, w


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue in random order.

    Attributes:
        brightness, contrast, saturation: factors are uniform in 1 +- this.
        hue: shift uniform in +- this, in turns of the color circle.
        probability: of doing anything.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    probability: float

    def __call__(self, colors: Colors, rng: np.random.Generator) -> Colors:
        """Shift the colors."""
        return ColorChange(self.drawn(rng))(colors)

    def drawn(self, rng: np.random.Generator) -> tuple[tuple[int, float], ...]:
        """Draw the steps of a `ColorChange`."""
        if rng.random() >= self.probability:
            return ()
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        steps = []
        for step in rng.permutation(4):
            if strength := strengths[step]:
                low = -strength if step == 3 else max(0.0, 1.0 - strength)
                high = strength if step == 3 else 1.0 + strength
                steps.append((int(step), float(rng.uniform(low, high))))
        return tuple(steps)


@dataclass(frozen=True)
class PhotometricDistortion:
    """Brightness, contrast, saturation and hue, each half of the time.

    Contrast comes before saturation and hue or after them, with equal probability. Colors are
    clipped to their range after each step.

    Attributes:
        brightness: added, uniform in +- this, gray levels of 255.
        contrast: every color is multiplied, uniform in 1 +- this.
        saturation: the S of HSV is multiplied, uniform in 1 +- this.
        hue: the H of HSV is shifted, uniform in +- this, turns of the color circle.

    Source: PhotoMetricDistortion of open-mmlab/mmsegmentation with its defaults, which BEiT's
        configuration for ADE20K uses: 32 gray levels, 0.5 to 1.5 twice, 18 of OpenCV's 180 hues. We
        differ in the steps of hue and saturation: 256, as Pillow has them.
    """

    brightness: float = 32.0
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.1

    def __call__(self, colors: Colors, rng: np.random.Generator) -> Colors:
        """Distort."""
        pixels = colors.astype(np.float32)
        if _fair(rng):
            pixels = _cut(pixels + rng.uniform(-self.brightness, self.brightness))
        contrast = rng.uniform(1.0 - self.contrast, 1.0 + self.contrast) if _fair(rng) else 1.0
        first = _fair(rng)
        if first:
            pixels = _cut(pixels * contrast)
        saturation = rng.uniform(1.0 - self.saturation, 1.0 + self.saturation) if _fair(rng) else 1
        hue = rng.uniform(-self.hue, self.hue) if _fair(rng) else 0.0
        if saturation != 1 or hue != 0.0:
            image = Image.fromarray(pixels.astype(np.uint8))
            hsv = np.array(image.convert("HSV"), dtype=np.float32)
            hsv[..., 0] = (hsv[..., 0] + round(hue * 256.0)) % 256.0
            hsv[..., 1] = _cut(hsv[..., 1] * saturation)
            back = Image.merge(
                "HSV", [Image.fromarray(c) for c in np.moveaxis(hsv.astype(np.uint8), 2, 0)]
            ).convert("RGB")
            pixels = np.asarray(back, dtype=np.float32)
        if not first:
            pixels = _cut(pixels * contrast)
        return pixels.astype(np.uint8)


class RandAugment:
    """timm's RandAugment."""

    def __init__(self, notation: str, size: int) -> None:
        """Parse the notation.

        Args:
            notation: timm's, such as "rand-m9-mstd0.5-inc1".
            size: side of the image in pixels, which scales translations.

        Raises:
            InputError: timm cannot parse the notation.
        """
        # timm costs seconds to import, and only fine-tuning needs it here.
        from timm.data.auto_augment import rand_augment_transform

        settings = {
            "translate_const": int(size * 0.45),
            "img_mean": tuple(round(255 * value) for value in MEAN),
            "interpolation": Image.Resampling.BICUBIC,
        }
        try:
            self._steps = rand_augment_transform(notation, settings)
        except (AssertionError, ValueError, KeyError) as error:
            raise InputError(
                f"augment.rand_augment: '{notation}' is no RandAugment notation of timm; write for "
                "example 'rand-m9-mstd0.5-inc1'"
            ) from error
        for step in self._steps.ops:
            if step.name.startswith("Posterize"):
                step.aug_fn = _posterize

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Apply timm's drawn operations."""
        with global_generators(rng):
            augmented: Image.Image = self._steps(image)
        return augmented


@dataclass(frozen=True)
class RandomErasing:
    """Replace a rectangle by noise, pixel by pixel.

    Attributes:
        probability: of doing anything.

    Source: Random Erasing, arXiv:1708.04896, with the ranges of timm's RandomErasing in pixel mode:
        area 2-33 %, ratio 0.3-3.3, noise of the normalized image's mean and deviation. We differ
        in that images are still uint8, so the noise is cut off at black and white.
    """

    probability: float

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Erase, perhaps."""
        if rng.random() >= self.probability:
            return pixels
        _, height, width = pixels.shape
        for _ in range(10):
            area = height * width * rng.uniform(0.02, 1 / 3)
            ratio = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < h < height and 0 < w < width:
                top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
                noise = rng.standard_normal((3, h, w), dtype=np.float32)
                noise = noise * _column(STD) + _column(MEAN)
                erased = pixels.clone()
                erased[:, top : top + h, left : left + w] = torch.from_numpy(
                    (noise.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
                )
                return erased
        return pixels


@contextmanager
def global_generators(rng: np.random.Generator) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators from ours for a library that uses them.

    Inside the block the three are seeded from `rng`; afterwards they are as they were.
    """
    python, numpy, torch_ = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed = int(rng.integers(2**32))
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torch_)


def _posterize(image: Image.Image, bits: int, **_: Any) -> Image.Image:
    """Keep the highest `bits` of each channel.

    timm passes 0 bits at its largest magnitude; newer Pillow rejects that, older made it black.
    """
    if bits < 1:
        return Image.new(image.mode, image.size)
    return image if bits >= 8 else ImageOps.posterize(image, bits)


def _column(values: tuple[float, float, float]) -> Any:
    return np.asarray(values, dtype=np.float32)[:, None, None]


def _fair(rng: np.random.Generator) -> bool:
    """Draw True or False, each with probability 1/2."""
    return bool(rng.random() < 0.5)


def _cut(values: np.ndarray) -> np.ndarray:
    return values.clip(0.0, 255.0).round()
