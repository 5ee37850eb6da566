"""Joint transforms of an image and its annotation, for segmentation."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from folk.data.augment import MEAN, ColorJitter, PhotometricDistortion
from folk.data.pixels import Pixels, from_array, to_pil, to_pixels
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.segmentation import IGNORE

# Redraws of a crop in which one class covers too much.
_RETRIES = 10

_MEAN_COLOR = [round(255 * value) for value in MEAN]


@dataclass(frozen=True, kw_only=True)
class SegmentTransform:
    """Random square crop of a randomly resized image and its annotation, perhaps mirrored.

    Where the image is smaller than the square, it is filled at the right and below, last of all,
    with the mean color and the annotation with `IGNORE`.

    Attributes:
        crop: side of the square in pixels.
        scale: smallest and largest shorter side of the resized image, over `crop`.
        flip: probability of mirroring.
        jitter: of brightness, contrast and saturation; a quarter of it of hue.
        photometric: True distorts colors as MMSegmentation does.
        max_class_share: a square of whose annotated pixels one class has this share or more is
            drawn again, up to 10 times; None takes the first one.

    Source: BEiT on ADE20K, microsoft/unilm@86f74f0: largest share of a category 0.75.

    Raises:
        InputError: the scale is not a range of positive numbers.
    """

    crop: int
    scale: tuple[float, float]
    flip: float = 0.5
    jitter: float = 0.0
    photometric: bool = False
    max_class_share: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.scale[0] <= self.scale[1]:
            raise InputError(
                f"augment: invalid scale {list(self.scale)}; give 0 < smallest <= largest"
            )

    def __call__(
        self, pixels: Pixels, annotation: Image.Image, rng: np.random.Generator
    ) -> tuple[Pixels, UInt8[Tensor, "h w"]]:
        """Apply the same geometry to both; colors change in the image only."""
        side = max(1, round(self.crop * rng.uniform(*self.scale)))
        image = _resized(to_pil(pixels), side, InterpolationMode.BICUBIC)
        annotation = _resized(annotation, side, InterpolationMode.NEAREST)
        box = self._box(annotation, rng)
        image, annotation = image.crop(box), annotation.crop(box)
        if rng.random() < self.flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            annotation = annotation.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        colors = np.array(image)
        if self.jitter:
            strength = self.jitter
            jitter = ColorJitter(strength, strength, strength, strength / 4, probability=1.0)
            colors = jitter(colors, rng)
        if self.photometric:
            colors = PhotometricDistortion()(colors, rng)
        missing = [0, 0, self.crop - image.width, self.crop - image.height]
        image = F.pad(Image.fromarray(colors), missing, fill=_MEAN_COLOR)
        return from_array(np.array(image)), _ids(F.pad(annotation, missing, fill=IGNORE))

    def _box(self, annotation: Image.Image, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw a square, and redraw it up to `_RETRIES` times while one class covers too much."""
        for _ in range(_RETRIES + 1):
            left = int(rng.integers(max(0, annotation.width - self.crop) + 1))
            top = int(rng.integers(max(0, annotation.height - self.crop) + 1))
            right = min(left + self.crop, annotation.width)
            box = (left, top, right, min(top + self.crop, annotation.height))
            most = self.max_class_share
            if most is None or _largest_share(annotation.crop(box)) < most:
                break
        return box


@dataclass(frozen=True)
class SegmentEvalTransform:
    """The whole image, its shorter side resized to `size` pixels, bicubic; None keeps it.

    The annotation keeps its own size, at which predictions are to be compared.
    """

    size: int | None = None

    def __call__(
        self, pixels: Pixels, annotation: Image.Image, rng: np.random.Generator
    ) -> tuple[Pixels, UInt8[Tensor, "h w"]]:
        """Resize the image; nothing is drawn."""
        if self.size is not None:
            image = _resized(to_pil(pixels), self.size, InterpolationMode.BICUBIC)
            pixels = to_pixels(image)
        return pixels, _ids(annotation)


def _resized(image: Image.Image, side: int, how: InterpolationMode) -> Image.Image:
    if min(image.size) == side:
        return image
    resized: Image.Image = F.resize(image, [side], interpolation=how, antialias=True)
    return resized


def _largest_share(annotation: Image.Image) -> float:
    """Share of the most frequent class among annotated pixels; 1 where none is annotated."""
    counts = np.bincount(np.asarray(annotation).ravel(), minlength=IGNORE + 1)[:IGNORE]
    return float(counts.max() / counts.sum()) if counts.any() else 1.0


def _ids(annotation: Image.Image) -> UInt8[Tensor, "h w"]:
    return torch.from_numpy(np.array(annotation))
