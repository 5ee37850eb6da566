"""Helpers of all stages that read images: normalization, batches, inference."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from folk.data import augment
from folk.data.dataset import Batches, EpochSampler, ImageDataset, loader
from folk.evidence.core.errors import InputError, brief
from folk.training.distributed import World

MEAN, STD = list(augment.MEAN), list(augment.STD)


def normalize(
    images: Float[Tensor, "b 3 h w"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "b 3 h w"]:
    """Center and scale the colors of images in [0, 1]."""
    constants = _on_device(tuple(mean), tuple(std), images.device, images.dtype)
    return (images - constants[0]) / constants[1]


@lru_cache(maxsize=8)
def _on_device(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Copy the constants once: a copy in each update waits for the GPU."""
    # They outlive the inference that asks for them first, and an attack needs gradients.
    with torch.inference_mode(False):
        center, scale = (torch.tensor(each, dtype=dtype, device=device) for each in (mean, std))
        return center.view(-1, 1, 1), scale.view(-1, 1, 1)


def autocast(world: World, precision: str) -> AbstractContextManager[Any]:
    """Autocast to bf16 if the recipe has it, else a no-op."""
    return torch.autocast(world.device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def keys_of(split: Path | None) -> list[str] | None:
    """Read the keys of a few-label split; None means all images.

    Raises:
        InputError: the file is not a valid split.
    """
    if split is None:
        return None
    try:
        keys: list[str] = pq.ParquetFile(split).read(["key"]).column("key").to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{split}: invalid split: {brief(error)}; make it again") from error
    if not all(isinstance(key, str) for key in keys):
        raise InputError(f"{split}: invalid split: a key is no text; make it again")
    return keys


def whole_batches(count: int, batch: int, what: str) -> int:
    """Compute updates per epoch when incomplete batches are dropped.

    Raises:
        InputError: there is less than one batch.
    """
    if count < batch:
        raise InputError(
            f"{what}: {count} images are fewer than one batch of {batch}; "
            "lower optim.batch or provide more"
        )
    return count // batch


def micro_batches(local_batch: int, max_batch: int | None) -> Iterator[slice]:
    """Split a process's local batch into equal micro-batches that fit its memory.

    Raises:
        InputError: the local batch is not divisible into equal parts of at most `max_batch`.
    """
    size = local_batch
    while max_batch is not None and size > max_batch:
        parts = -(-local_batch // size) + 1
        while local_batch % parts:
            parts += 1
        size = local_batch // parts
    yield from (slice(start, start + size) for start in range(0, local_batch, size))


def training_batches(
    dataset: ImageDataset,
    *,
    batch: int,
    seed: int,
    epochs: int,
    start_update: int,
    world: World,
    workers: int,
    repeats: int = 1,
) -> Iterator[dict[str, Any]]:
    """Yield this process's local batches of a training, from some update on.

    Args:
        batch: images of all processes together.
        seed: of the order.
        start_update: updates made already.
        repeats: copies of each image in an epoch, see `EpochSampler`.
    """
    sampler = EpochSampler(
        len(dataset), batch=batch, seed=seed, rank=world.rank, world=world.size, repeats=repeats
    )
    batches = loader(dataset, sampler, workers=workers, pin_memory=world.device.type == "cuda")
    first, done = divmod(start_update, sampler.batches_per_epoch)
    for epoch in range(first, epochs):
        sampler.set_epoch(epoch, done if epoch == first else 0)
        yield from batches


def run_inference(
    dataset: ImageDataset,
    per_batch: Callable[[dict[str, Any]], np.ndarray],
    *,
    batch: int,
    world: World,
    workers: int,
) -> np.ndarray:
    """Compute one row for every image exactly once, distributed over all processes.

    Args:
        per_batch: computes one row per image of a batch.
        batch: images at once, of all processes together.

    Returns:
        the rows in the order of the data set, the same on every process.
    """
    batches = evaluation_batches(dataset, batch=batch, world=world, workers=workers)
    return infer(batches, per_batch, world)


def evaluation_batches(dataset: ImageDataset, *, batch: int, world: World, workers: int) -> Batches:
    """Load every image once, shared among all processes; iterate again for the same again.

    Args:
        batch: images at once, of all processes together.
        workers: loading processes; they live as long as the result.
    """
    sampler = EpochSampler(
        len(dataset),
        batch=batch,
        rank=world.rank,
        world=world.size,
        shuffle=False,
        drop_last=False,
    )
    return loader(dataset, sampler, workers=workers, pin_memory=world.device.type == "cuda")


def infer(
    batches: Batches, per_batch: Callable[[dict[str, Any]], np.ndarray], world: World
) -> np.ndarray:
    """Compute one row for every image of `evaluation_batches`; see `run_inference`."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    with torch.inference_mode():
        for images in batches:
            parts.append((images["index"].numpy(), per_batch(images)))
    return world.gather_rows(parts)


def cache_bytes(megabytes: int) -> int:
    """Convert the size of an image cache to bytes."""
    return megabytes * 2**20
