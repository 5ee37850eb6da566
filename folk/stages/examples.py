"""Example images, filtered and reconstructed, for the report."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from folk.data.dataset import ImageDataset
from folk.data.shards import PreparedData
from folk.data.transforms import EvalTransform, unit_range
from folk.evidence.core.files import atomic_write
from folk.filters.rng import BatchRng
from folk.filters.spectrum import half_spectrum
from folk.methods.base import Method
from folk.methods.mfm import MFM
from folk.methods.restoration import Restoration

NUM_EXAMPLES = 6


def save_examples(
    path: Path,
    data: PreparedData,
    size: int,
    method: Method | None,
) -> None:
    """Write an .npz that can be read without this package.

    It holds `images` [n, h, w, 3] uint8 from the validation split; and, for each side of the
    filter named in `names` [k], `keep` [k, n, h, w] bool with the mean color in the middle,
    `filtered` and `reconstructed` [k, n, h, w, 3] uint8. Without a reconstruction k is 0; a
    degradation has one side, which keeps every frequency.
    """
    dataset = ImageDataset(data.split("val"), EvalTransform(resize=size, crop=size))
    count = min(NUM_EXAMPLES, len(dataset))
    # Random, because evenly spaced indices can hit a single class.
    chosen = np.random.default_rng(0).permutation(len(dataset))[:count]
    images = unit_range(torch.stack([dataset[int(index)]["image"] for index in chosen]))
    names: list[str] = []
    keeps, filtered, reconstructed = [], [], []
    if method is not None and method.reconstruction_head is not None:
        for name, keep, seen in _sides(method, images):
            names.append(name)
            keeps.append(centered(keep, size).numpy())
            with torch.no_grad():
                rebuilt = method.rebuild(seen) * method.std + method.mean
            reconstructed.append(_bytes(rebuilt.clamp(0.0, 1.0)))
            if method.reconstruction.filter_stage == "after":
                seen = seen * method.std + method.mean
            # Without clipping in the recipe, values may lie outside.
            filtered.append(_bytes(seen.clamp(0.0, 1.0)))
    shape = (0, count, size, size)
    with atomic_write(path) as temp, temp.open("wb") as file:
        np.savez_compressed(
            file,
            images=_bytes(images),
            names=np.array(names, dtype=np.str_),
            keep=np.stack(keeps) if keeps else np.zeros(shape, dtype=bool),
            filtered=np.stack(filtered) if filtered else np.zeros((*shape, 3), dtype=np.uint8),
            reconstructed=(
                np.stack(reconstructed) if reconstructed else np.zeros((*shape, 3), dtype=np.uint8)
            ),
        )


def centered(keep: Bool[Tensor, "b h w_half"], width: int) -> Bool[Tensor, "b h w"]:
    """Expand a mask of the half spectrum to the whole, with the mean color in the middle."""
    height = keep.shape[-2]
    rows = torch.arange(height)[:, None]
    columns = torch.arange(width)[None, :]
    mirrored = columns > width // 2
    stored_row = torch.where(mirrored, -rows % height, rows)
    stored_column = torch.where(mirrored, width - columns, columns)
    whole: Tensor = torch.fft.fftshift(keep[:, stored_row, stored_column], dim=(-2, -1))
    return whole


def _sides(method: Method, images: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield name, mask of the first color and changed images for each side of the filter."""
    if isinstance(method, MFM):
        for name, one_sided in method.frequency_filter.sides():
            keep = one_sided(images, BatchRng(0, len(images)))
            yield name, keep[:, 0], method.filtered(images, keep)
    elif isinstance(method, Restoration):
        everything = torch.ones_like(half_spectrum(images[:, 0]), dtype=torch.bool)
        degraded = method.degradation(images, BatchRng(0, len(images)))
        yield method.degradation.kind, everything, degraded


def _bytes(images: Tensor) -> np.ndarray:
    return (images * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
