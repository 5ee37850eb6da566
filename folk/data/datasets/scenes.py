"""Small real images without a download: handwritten digits over photographs.

The digits are scikit-learn's `load_digits` (1,797 scans of handwriting, 8 x 8), the photographs
ship inside the wheels of scikit-learn and scikit-image. A scene has a natural spectrum, a class
(the digit) and a known segmentation mask. Validation shares neither digits nor photograph regions
with the other splits.
"""

import colorsys
import hashlib
import importlib.resources
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from folk.evidence.core.errors import InputError

CLASSES = tuple(str(digit) for digit in range(10))
SEGMENTATION_CLASSES = ("background", *CLASSES)

# All of them are in the public domain or CC0 in scikit-image; scikit-learn's two are CC BY.
PHOTOGRAPHS = (
    ("sklearn.datasets.images", "china.jpg"),
    ("sklearn.datasets.images", "flower.jpg"),
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "brick.png"),
    ("skimage.data", "camera.png"),
    ("skimage.data", "chelsea.png"),
    ("skimage.data", "coffee.png"),
    ("skimage.data", "grass.png"),
    ("skimage.data", "gravel.png"),
    ("skimage.data", "hubble_deep_field.jpg"),
    ("skimage.data", "rocket.jpg"),
)

# Left of this share of a photograph's width is for training, right of it for validation.
TRAIN_WIDTH_FRACTION = 0.7
# Every fifth digit of a class, in the order of the published file, is for validation.
VAL_DIGIT_EVERY = 5
# Photographs are seen at full, half and quarter resolution: one image, three kinds of detail.
REDUCTIONS = (1, 2, 4)
# The photograph's contrast shrinks towards this gray, dark enough for bright digits to stand out.
BASE_GRAY = 0.35

SPLITS = ("train", "val", "unlabeled")  # the place in this list is part of each scene's seed


class Scene(NamedTuple):
    """One composed image."""

    key: str  # `train/00012`; does not change when the number of scenes grows
    split: str  # one of `SPLITS`
    label: int  # the digit; -1 in the unlabeled split
    image: UInt8[np.ndarray, "h w 3"]  # RGB, [0, 255]
    annotation: UInt8[np.ndarray, "h w"]  # 0 background, digit + 1 where ink covers over half


class Photograph(NamedTuple):
    """Photograph from an installed wheel: its name, the bytes of its file, its pixels."""

    name: str
    data: bytes
    pixels: UInt8[np.ndarray, "h w 3"]


class DigitPool(NamedTuple):
    """The digits of one side of the split, by class."""

    images: list[Float[np.ndarray, "n 8 8"]]  # [0, 1]
    indices: list[np.ndarray]  # positions in `load_digits`


class Region(NamedTuple):
    """The part of one photograph that a split may show."""

    name: str  # of the photograph
    columns: tuple[int, int]  # first and one-past-last one in the photograph, in pixels
    levels: list[UInt8[np.ndarray, "h w 3"]]  # at each of `REDUCTIONS` that holds a scene


def read_photographs() -> list[Photograph]:
    """Read the photographs that the installed wheels contain; nothing is downloaded."""
    photographs = []
    for package, file in PHOTOGRAPHS:
        data = importlib.resources.files(package).joinpath(file).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            photographs.append(Photograph(file, data, np.asarray(image.convert("RGB"))))
    return photographs


def read_digits() -> tuple[UInt8[np.ndarray, "n 8 8"], UInt8[np.ndarray, "n"]]:
    """Return the 1,797 digits, ink in [0, 16], and their labels."""
    from sklearn.datasets import load_digits  # costs a second, and only `prepare` needs it

    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target.astype(np.uint8)


def scene_sources() -> list[dict[str, Any]]:
    """Digest the sources of the scenes: the array of digits and each photograph's file."""
    images, labels = read_digits()
    files = {"sklearn load_digits": images.tobytes() + labels.tobytes()}
    files |= {photograph.name: photograph.data for photograph in read_photographs()}
    return [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in files.items()
    ]


def digit_pool(split: str) -> DigitPool:
    """Return the digits of a split: every fifth of a class for "val", the others otherwise."""
    images, labels = read_digits()
    pool = DigitPool([], [])
    for digit in range(len(CLASSES)):
        members = np.flatnonzero(labels == digit)
        held_out = np.arange(len(members)) % VAL_DIGIT_EVERY == VAL_DIGIT_EVERY - 1
        chosen = members[held_out if split == "val" else ~held_out]
        pool.images.append(images[chosen] / 16.0)
        pool.indices.append(chosen)
    return pool


def photograph_regions(split: str, size: int) -> list[Region]:
    """Return each photograph's region for a split: the right part for "val", the left otherwise.

    Args:
        split: "train", "val" or "unlabeled".
        size: side of a scene in pixels; regions too small for it are left out.

    Raises:
        InputError: no photograph is large enough.
    """
    regions = []
    for name, _, pixels in read_photographs():
        height, width = pixels.shape[:2]
        cut = int(width * TRAIN_WIDTH_FRACTION)
        start, stop = (cut, width) if split == "val" else (0, cut)
        # Cut before reducing: a reduced pixel must not mix both sides.
        whole = Image.fromarray(np.ascontiguousarray(pixels[:, start:stop]))
        levels = [
            np.asarray(whole.reduce(factor))
            for factor in REDUCTIONS
            if min(height, stop - start) // factor >= size
        ]
        if levels:
            regions.append(Region(name, (start, stop), levels))
    if not regions:
        raise InputError(f"scenes: size {size} px is larger than every photograph; choose <= 128")
    return regions


def compose_scenes(
    *,
    size: int = 32,
    num_train: int = 1400,
    num_val: int = 1000,
    num_unlabeled: int = 7000,
    contrast: float = 0.35,
    digit_scale: tuple[float, float] = (0.6, 0.9),
    digit_brightness: tuple[float, float] = (0.85, 1.0),
    color: float = 0.3,
    seed: int = 0,
) -> Iterator[Scene]:
    """Compose the scenes of a data set, split after split, the same bits for the same seed.

    A scene depends on the seed, its split and its number alone, and classes take turns, so a
    smaller data set is the beginning of a larger one and every split is balanced.

    Args:
        size: side of a scene in pixels.
        num_train: scenes with a label.
        num_val: scenes of digits and photograph regions that the other splits never show.
        num_unlabeled: further scenes from the digits and regions of training, label -1.
        contrast: share of the photograph's contrast that is kept, in [0, 1]; 0 is flat gray.
        digit_scale: smallest and largest side of a digit, as a fraction of `size`.
        digit_brightness: smallest and largest brightness of the ink, in [0, 1].
        color: largest saturation of the ink, in [0, 1]; 0 is white or gray ink.
        seed: seed of every random draw.

    Raises:
        InputError: `size` is larger than every photograph.
    """
    for split, count in zip(SPLITS, (num_train, num_val, num_unlabeled), strict=True):
        if count == 0:
            continue
        digits, regions = digit_pool(split), photograph_regions(split, size)
        for index in range(count):
            rng = np.random.default_rng((seed, SPLITS.index(split), index))
            digit = index % len(CLASSES)
            ink = _place_digit(rng, digits.images[digit], size, digit_scale)
            background = _crop(rng, regions, size) * np.float32(contrast / 255.0)
            background += np.float32(BASE_GRAY * (1.0 - contrast))
            brightness = rng.uniform(*digit_brightness)
            tint = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, color), brightness)
            coverage = ink[:, :, None]
            image = background + coverage * (np.asarray(tint, dtype=np.float32) - background)
            yield Scene(
                key=f"{split}/{index:05d}",
                split=split,
                label=-1 if split == "unlabeled" else digit,
                image=(image * 255.0 + 0.5).astype(np.uint8),
                annotation=np.where(ink > 0.5, digit + 1, 0).astype(np.uint8),
            )


def _place_digit(
    rng: np.random.Generator,
    images: Float[np.ndarray, "n 8 8"],
    size: int,
    scale: tuple[float, float],
) -> Float[np.ndarray, "size size"]:
    """Draw one digit at a random size and place; ink coverage in [0, 1]."""
    image = images[rng.integers(len(images))]
    side = max(8, round(rng.uniform(*scale) * size))
    enlarged = Image.fromarray((image * 255.0).astype(np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    top, left = rng.integers(size - side + 1, size=2)
    ink = np.zeros((size, size), dtype=np.float32)
    ink[top : top + side, left : left + side] = np.asarray(enlarged) / np.float32(255.0)
    return ink


def _crop(
    rng: np.random.Generator, regions: list[Region], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """Cut a square out of a random region at a random resolution, mirrored half of the time."""
    levels = regions[rng.integers(len(regions))].levels
    level = levels[rng.integers(len(levels))]
    top = rng.integers(level.shape[0] - size + 1)
    left = rng.integers(level.shape[1] - size + 1)
    square = level[top : top + size, left : left + size]
    return square[:, ::-1] if rng.random() < 0.5 else square
