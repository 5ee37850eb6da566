"""What happens to a picture between the file and the batch.

A transform takes an upright RGB picture and a generator, and draws everything random from that
generator. Pictures leave as uint8 tensors, not normalised: the frequency filters act on [0, 1], and
the model normalises. `unit_range` makes [0, 1] of a batch, on its device.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from folk.errors import InputError

Pixels = UInt8[Tensor, "3 h w"]

# DINO's blur radius and the like are meant for pictures of this side, in pixels.
REFERENCE_SIZE = 224


class Transform(Protocol):
    """Makes one picture, or several views of it, ready for a batch."""

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> Pixels | list[Pixels]: ...


class JointTransform(Protocol):
    """Makes a picture and its annotation ready; both are moved alike."""

    def __call__(
        self, picture: Image.Image, annotation: Image.Image, rng: np.random.Generator
    ) -> tuple[Pixels, UInt8[Tensor, "h w"]]: ...


def unit_range(pictures: UInt8[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """uint8 pictures as float32 in [0, 1]."""
    return pictures.to(torch.float32) / 255.0


def to_pixels(picture: Image.Image) -> Pixels:
    """An RGB picture as a tensor of its own."""
    return torch.from_numpy(np.array(picture).transpose(2, 0, 1)).contiguous()


@dataclass(frozen=True)
class RandomCrop:
    """A random part of the picture, resized to a square, mirrored half of the time.

    Attributes:
        size: side of the result in pixels.
        scale: smallest and largest share of the picture's area, in (0, 1].
        flip: probability of mirroring.
        ratio: smallest and largest width over height of the part.

    Source: torchvision's RandomResizedCrop, whose draw this follows (area uniform, ratio uniform in
        its logarithm, ten tries, else the largest central part), with a generator of our own.
    """

    size: int
    scale: tuple[float, float]
    flip: float = 0.5
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0.0 < self.scale[0] <= self.scale[1] <= 1.0:
            raise InputError(
                f"views: crop scale is {list(self.scale)}; give 0 < smallest <= largest <= 1"
            )

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        top, left, height, width = self._part(picture.height, picture.width, rng)
        side = [self.size, self.size]
        crop = F.resized_crop(
            picture, top, left, height, width, side, interpolation=InterpolationMode.BICUBIC
        )
        if rng.random() < self.flip:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return crop

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
class ColourJitter:
    """Brightness, contrast, saturation and hue in random order.

    Attributes:
        brightness, contrast, saturation: factors are uniform in 1 +- this.
        hue: shift uniform in +- this, in turns of the colour circle.
        probability: of doing anything.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    probability: float

    @classmethod
    def dino(cls, strength: float) -> "ColourJitter":
        """DINO's jitter, its strengths multiplied by `strength`.

        Source: DINO, arXiv:2104.14294; facebookresearch/dino@7c446df, main_dino.py,
            DataAugmentationDINO.
        """
        return cls(0.4 * strength, 0.4 * strength, 0.2 * strength, 0.1 * strength, 0.8)

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        if rng.random() >= self.probability:
            return picture
        for step in rng.permutation(4):
            if step == 0 and self.brightness:
                picture = F.adjust_brightness(picture, _factor(rng, self.brightness))
            elif step == 1 and self.contrast:
                picture = F.adjust_contrast(picture, _factor(rng, self.contrast))
            elif step == 2 and self.saturation:
                picture = F.adjust_saturation(picture, _factor(rng, self.saturation))
            elif step == 3 and self.hue:
                picture = F.adjust_hue(picture, float(rng.uniform(-self.hue, self.hue)))
        return picture


@dataclass(frozen=True)
class View:
    """One augmented view: crop and mirror, then colour, grey, blur and solarisation.

    Attributes:
        crop: the part of the picture.
        jitter: of colours; None for none.
        grey: probability of losing the colours.
        blur: probability of a Gaussian blur with a radius of 0.1 to 2 pixels at 224 px; at
            other sizes the radius shrinks or grows with the picture.
        solarise: probability of inverting the brighter half.
    """

    crop: RandomCrop
    jitter: ColourJitter | None = None
    grey: float = 0.0
    blur: float = 0.0
    solarise: float = 0.0

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> Pixels:
        picture = self.crop(picture, rng)
        if self.jitter is not None:
            picture = self.jitter(picture, rng)
        if self.grey and rng.random() < self.grey:
            picture = F.rgb_to_grayscale(picture, num_output_channels=3)
        if self.blur and rng.random() < self.blur:
            radius = rng.uniform(0.1, 2.0) * self.crop.size / REFERENCE_SIZE
            picture = picture.filter(ImageFilter.GaussianBlur(radius))
        if self.solarise and rng.random() < self.solarise:
            picture = F.solarize(picture, threshold=128)
        return to_pixels(picture)


@dataclass(frozen=True)
class Views:
    """Independent views of one picture, each by its own recipe."""

    views: tuple[View, ...]

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> list[Pixels]:
        return [view(picture, rng) for view in self.views]


def view_transforms(
    kind: Literal["mfm", "dino"],
    *,
    size: int,
    min_scale: float,
    max_scale: float = 1.0,
    flip: float = 0.5,
    jitter: float = 0.0,
    num_views: int,
) -> Views:
    """The pictures of pre-training.

    Args:
        kind: "mfm" crops and mirrors; "dino" also draws grey, blur and solarisation.
        size: side of a view in pixels.
        min_scale: smallest share of the picture's area.
        max_scale: largest share of the picture's area.
        flip: probability of mirroring.
        jitter: strength of the colour jitter relative to DINO's, for both kinds; 0 is none.
        num_views: views of each picture; DINO's odd views differ from the even ones.

    Source: MFM, arXiv:2206.07706 (crop 0.2-1, bicubic, mirror); DINO, arXiv:2104.14294,
        facebookresearch/dino@7c446df, main_dino.py, DataAugmentationDINO: grey 0.2; blur 1.0 on the
        first view, 0.1 on the second; solarise 0.2 on the second. Local crops are not made.
    """
    crop = RandomCrop(size, (min_scale, max_scale), flip)
    colour = ColourJitter.dino(jitter) if jitter else None
    if kind == "mfm":
        return Views((View(crop, colour),) * num_views)
    first = View(crop, colour, grey=0.2, blur=1.0)
    second = View(crop, colour, grey=0.2, blur=0.1, solarise=0.2)
    return Views(tuple((first, second)[i % 2] for i in range(num_views)))
