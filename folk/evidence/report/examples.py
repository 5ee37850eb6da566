"""Example images of a pre-training, and the energy that a filter keeps."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float

from folk.evidence.core.errors import InputError, brief_with_type
from folk.evidence.core.yaml_model import Document
from folk.evidence.results.evidence import Evidence
from folk.evidence.study.study import run_name

Images = Float[np.ndarray, "n h w 3"]


@dataclass(frozen=True)
class Examples:
    """The examples.npz of one pre-training: k sides of the filter or degradation, n images.

    Colors are in [0, 1]. `keep` is centered and that of the first color; all True without a
    filter. `rebuilt` is the model's reconstruction; None without a model.
    """

    label: str  # of the encoder's row
    names: list[str]
    images: Images
    keep: Bool[np.ndarray, "k n h w"]
    filtered: Float[np.ndarray, "k n h w 3"]
    rebuilt: Float[np.ndarray, "k n h w 3"] | None
    one_mask: bool  # True if all colors share it


def examples_of(evidence: Evidence) -> Iterator[Examples]:
    """Read the examples of each row's first seed, in the order of the study."""
    for row, encoder in evidence.study.encoders.items():
        folder = evidence.results / "pretrain" / run_name(row, encoder.seeds[0])
        path = folder / "examples.npz"
        if path.is_file() and evidence.foreign(folder) is None:
            yield _read(path, encoder.label)


def power(images: Images) -> Float[np.ndarray, "n h w"]:
    """Compute the energy of each coefficient, summed over colors, centered like `Examples.keep`.

    The mean color is excluded: it dominates most spectra, and whether it is kept depends on the
    filter.
    """
    spectra = np.abs(np.fft.fft2(images, axes=(1, 2))) ** 2
    energy = spectra.sum(axis=-1)
    energy[:, 0, 0] = 0.0
    centered: np.ndarray = np.fft.fftshift(energy, axes=(-2, -1))
    return centered


def largest_first(energy: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n c"]:
    """Compute the energy share of the 1, 2 .. h * w - 1 largest coefficients of each image."""
    ranked = -np.sort(-energy.reshape(len(energy), -1), axis=1)[:, :-1]  # the last: the mean color
    shares: np.ndarray = ranked.cumsum(axis=1) / ranked.sum(axis=1, keepdims=True)
    return shares


def kept_shares(
    energy: Float[np.ndarray, "n h w"], keep: Bool[np.ndarray, "n h w"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Compute the shares of coefficients and energy that a filter keeps of each image."""
    height, width = energy.shape[1:]
    others = keep.copy()
    others[:, height // 2, width // 2] = False  # the mean color
    count = others.sum(axis=(1, 2)) / (height * width - 1)
    return count, (energy * others).sum(axis=(1, 2)) / energy.sum(axis=(1, 2))


def completed(examples: Examples) -> Float[np.ndarray, "k n h w 3"]:
    """Combine kept frequencies with predictions of the removed ones, in [0, 1].

    Predictions of kept frequencies have no loss and are not used. If all frequencies were kept, as
    by a blur, the prediction is the whole image.
    """
    assert examples.rebuilt is not None, "nothing was predicted"
    keep = np.fft.ifftshift(examples.keep, axes=(-2, -1))[..., None]
    known, guessed = (
        np.fft.fft2(images, axes=(-3, -2)) for images in (examples.images[None], examples.rebuilt)
    )
    whole = np.fft.ifft2(np.where(keep, known, guessed), axes=(-3, -2)).real.clip(0.0, 1.0)
    restored = np.all(examples.keep, axis=(1, 2, 3)).reshape(-1, 1, 1, 1, 1)
    joined: np.ndarray = np.where(restored, examples.rebuilt, whole)
    return joined


def _read(path: Path, label: str) -> Examples:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, keep, filtered, rebuilt = (
                file[n] for n in ("images", "keep", "filtered", "reconstructed")
            )
            names = [str(name) for name in file["names"]]
        shape = (len(names), *images.shape)
        if keep.shape != shape[:-1] or filtered.shape != shape or keep.dtype != np.bool_:
            raise ValueError(f"expected {shape}, got keep {keep.shape}, filtered {filtered.shape}")
        if len(rebuilt) and rebuilt.shape != shape:
            raise ValueError(f"expected {shape}, got reconstructed {rebuilt.shape}")
        if images.ndim != 4 or images.dtype != np.uint8:
            raise ValueError(f"images are {images.shape} of {images.dtype}")
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, NotImplementedError,
            MemoryError, RuntimeError, SyntaxError, zlib.error, struct.error) as error:  # fmt: skip
        raise InputError(
            f"{path}: invalid examples ({brief_with_type(error)}); run that job again"
        ) from error
    return Examples(
        label=label,
        names=names,
        images=images / 255.0,
        keep=keep,
        filtered=filtered / 255.0,
        rebuilt=rebuilt / 255.0 if len(rebuilt) else None,
        one_mask=not _masks_each_color(path.parent / "recipe.yaml"),
    )


def _masks_each_color(recipe: Path) -> bool:
    found: Any = Document(recipe).values if recipe.is_file() else {}
    for key in ("method", "filter", "mask_channels"):
        found = found.get(key) if isinstance(found, dict) else None
    return bool(found == "per_channel")
