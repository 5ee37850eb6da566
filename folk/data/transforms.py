"""Image transforms of pre-training, fine-tuning and evaluation.

A transform takes an RGB image as a uint8 tensor and a generator, and draws everything
random from that generator. Images leave as uint8 tensors, not normalized: the frequency filters
act on [0, 1], and the model normalizes. `unit_range` scales a batch to [0, 1] on its device.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from folk.data.augment import ColorJitter, RandAugment, RandomCrop, RandomErasing
from folk.data.color import ColorChange, recolored
from folk.data.decode import MAX_RATIO
from folk.data.pixels import (
    Interpolation,
    Pixels,
    from_array,
    resized,
    to_array,
    to_pil,
    to_pixels,
)
from folk.evidence.core.errors import InputError

# DINO's blur radius is meant for images of this side, in pixels.
REFERENCE_SIZE = 224


@runtime_checkable
class Transform(Protocol):
    """Transform of one image to one tensor or several views."""

    def __call__(
        self, pixels: Pixels, rng: np.random.Generator
    ) -> Pixels | list[Pixels] | tuple[list[Pixels], Float[Tensor, "v n"]]:
        """Draw from `rng` only, and leave `pixels` as they are."""


def unit_range(images: UInt8[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """uint8 images as float32 in [0, 1], a plane for each color."""
    return images.to(torch.float32, memory_format=torch.contiguous_format) / 255.0


@dataclass(frozen=True)
class View:
    """One augmented view: crop and mirror, then color, gray, blur and solarization.

    Attributes:
        crop: the part of the image.
        jitter: of colors; None for none.
        gray: probability of losing the colors.
        blur: probability of a Gaussian blur with a radius of 0.1 to 2 pixels at 224 px; at
            other sizes the radius shrinks or grows with the image.
        solarize: probability of inverting the brighter half.
    """

    crop: RandomCrop
    jitter: ColorJitter | None = None
    gray: float = 0.0
    blur: float = 0.0
    solarize: float = 0.0

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> tuple[Pixels, ColorChange]:
        """Crop and flip; draw the change of colors, and leave it to the caller."""
        pixels = self.crop(pixels, rng)
        steps = () if self.jitter is None else self.jitter.drawn(rng)
        gray = bool(self.gray and rng.random() < self.gray)
        sigma = 0.0
        if self.blur and rng.random() < self.blur:
            sigma = rng.uniform(0.1, 2.0) * self.crop.size / REFERENCE_SIZE
        solarize = bool(self.solarize and rng.random() < self.solarize)
        return pixels, ColorChange(steps, gray, sigma, solarize)


@dataclass(frozen=True)
class Views:
    """Independent views of one image, each by its own recipe.

    Attributes:
        views: how each is made.
        and_spatial: True appends the same views, cropped and flipped only.
        colors: "device" only draws the changes of color; `batch_views` makes them.
    """

    views: tuple[View, ...]
    and_spatial: bool = False
    colors: Literal["loader", "device"] = "loader"

    def __call__(
        self, pixels: Pixels, rng: np.random.Generator
    ) -> list[Pixels] | tuple[list[Pixels], Float[Tensor, "v 11"]]:
        """Make all views, in order; with `colors: device` cropped and flipped, and the changes."""
        drawn = [view(pixels, rng) for view in self.views]
        spatial = [view for view, _ in drawn]
        if self.colors == "device":
            return spatial, torch.stack([change.numbers() for _, change in drawn])
        full = [from_array(change(to_array(view))) for view, change in drawn]
        return full + spatial if self.and_spatial else full


def view_transforms(
    kind: Literal["mfm", "dino"],
    *,
    size: int,
    min_scale: float,
    max_scale: float = 1.0,
    flip: float = 0.5,
    jitter: float = 0.0,
    num_views: int,
    and_spatial: bool = False,
    colors: Literal["loader", "device"] = "loader",
) -> Views:
    """Make the transform of pre-training.

    Args:
        kind: "mfm" crops and mirrors; "dino" also draws gray, blur and solarization.
        size: side of a view in pixels.
        min_scale: smallest share of the image's area.
        max_scale: largest share of the image's area.
        flip: probability of mirroring.
        jitter: strength of the color jitter relative to DINO's; 0 is none. With "mfm", whose
            authors use none, it is brightness and contrast alone, which cost a fifth of the whole.
        num_views: views of each image; DINO's odd views differ from the even ones.
        and_spatial: append the same views, cropped and flipped only.
        colors: who changes the colors of what was drawn.

    Source: MFM, arXiv:2206.07706 (crop 0.2-1, bicubic, mirror); DINO, arXiv:2104.14294,
        facebookresearch/dino@7c446df, main_dino.py, DataAugmentationDINO: gray 0.2; blur 1.0 on the
        first view, 0.1 on the second; solarize 0.2 on the second. Local crops are not made.
    """
    crop = RandomCrop(size, (min_scale, max_scale), flip)
    if kind == "mfm":
        light = ColorJitter(0.4 * jitter, 0.4 * jitter, 0.0, 0.0, 0.8) if jitter else None
        return Views((View(crop, light),) * num_views, and_spatial, colors)
    strengths = (0.4 * jitter, 0.4 * jitter, 0.2 * jitter, 0.1 * jitter)
    color = ColorJitter(*strengths, probability=0.8) if jitter else None
    first = View(crop, color, gray=0.2, blur=1.0)
    second = View(crop, color, gray=0.2, blur=0.1, solarize=0.2)
    views = tuple((first, second)[i % 2] for i in range(num_views))
    return Views(views, and_spatial, colors)


def batch_views(
    batch: dict[str, Any], device: torch.device, *, and_spatial: bool
) -> list[Float[Tensor, "b 3 h w"]]:
    """All views of a batch in [0, 1] on their device, with their colors changed if they are not.

    Args:
        batch: of an `ImageDataset` with `Views`.
        device: where.
        and_spatial: as that of the `Views`.
    """
    views = [view.to(device, non_blocking=True) for view in batch["image"]]
    if "colors" in batch:
        changes = batch["colors"].unbind(1)
        full = [recolored(view, own) for view, own in zip(views, changes, strict=True)]
        views = full + views if and_spatial else full
    return [unit_range(view) for view in views]


class FinetuneTransform:
    """A training image of a classifier: crop and mirror, RandAugment or jitter, erasing."""

    def __init__(
        self,
        *,
        size: int,
        min_scale: float,
        flip: float = 0.5,
        interpolation: Interpolation = "bicubic",
        rand_augment: str | None = None,
        color_jitter: float = 0.0,
        random_erasing: float = 0.0,
    ) -> None:
        """Choose the steps; mixup and cutmix are applied to the batch.

        Args:
            size: side in pixels.
            min_scale: smallest share of the image's area.
            flip: probability of mirroring.
            interpolation: of the crop's resize.
            rand_augment: timm's notation, such as "rand-m9-mstd0.5-inc1"; None for none.
            color_jitter: of brightness, contrast and saturation; as in timm, only without
                RandAugment.
            random_erasing: probability of erasing a rectangle.

        Raises:
            InputError: RandAugment's notation is invalid, or min_scale is outside (0, 1].
        """
        self._crop = RandomCrop(size, (min_scale, 1.0), flip, interpolation=interpolation)
        self._rand_augment = None if rand_augment is None else RandAugment(rand_augment, size)
        self._jitter = None
        if color_jitter and rand_augment is None:
            self._jitter = ColorJitter(color_jitter, color_jitter, color_jitter, 0.0, 1.0)
        self._erasing = RandomErasing(random_erasing) if random_erasing else None

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Augment."""
        pixels = self._crop(pixels, rng)
        if self._rand_augment is not None:
            pixels = to_pixels(self._rand_augment(to_pil(pixels), rng))
        if self._jitter is not None:
            pixels = from_array(self._jitter(to_array(pixels), rng))
        return pixels if self._erasing is None else self._erasing(pixels, rng)


@dataclass(frozen=True, kw_only=True)
class EvalTransform:
    """The center of an image: shorter side to `resize` pixels, bicubic, then `crop` by `crop`.

    Of an image longer than `MAX_RATIO` times its shorter side only the middle is resized, because
    one of 30,000 by 1 pixels would take gigabytes; what is left out lies far outside the crop.

    Raises:
        InputError: the crop is larger than what it is cut from.
    """

    resize: int
    crop: int

    def __post_init__(self) -> None:
        if self.crop > self.resize:
            raise InputError(
                f"evaluate: crop {self.crop} px is larger than resize {self.resize} px"
            )

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Resize and crop; nothing is drawn."""
        _, height, width = pixels.shape
        shorter = min(height, width)
        if max(height, width) > (most := MAX_RATIO * shorter):
            pixels = F.center_crop(pixels, [min(height, most), min(width, most)])
            _, height, width = pixels.shape
        longer = int(self.resize * max(height, width) / shorter)  # rounded as torchvision does
        size = (self.resize, longer) if height <= width else (longer, self.resize)
        center: Pixels = F.center_crop(resized(pixels, *size), [self.crop, self.crop])
        return center
