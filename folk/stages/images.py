"""What every stage that reads images does with a recipe's words."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from folk.data.dataset import EpochSampler, ImageDataset, loader
from folk.evidence.core.errors import InputError
from folk.training.distributed import World

MEAN = list(IMAGENET_DEFAULT_MEAN)
STD = list(IMAGENET_DEFAULT_STD)


def normalize(
    images: Float[Tensor, "b 3 h w"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "b 3 h w"]:
    """Center and scale the colors of images in [0, 1]."""
    return (images - images.new_tensor(mean).view(-1, 1, 1)) / images.new_tensor(std).view(-1, 1, 1)


def autocast(world: World, precision: str) -> AbstractContextManager[Any]:
    """bf16 where the recipe asks for it, else nothing."""
    return torch.autocast(world.device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def keys_of(split: Path | None) -> list[str] | None:
    """The images that a few-label split kept; None means all.

    Raises:
        InputError: the file is not one that `split` writes.
    """
    if split is None:
        return None
    try:
        keys: list[str] = pq.ParquetFile(split).read(["key"]).column("key").to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{split}: not readable as a split: {reason}; make it again") from error
    if not all(isinstance(key, str) for key in keys):
        raise InputError(f"{split}: not readable as a split: a key is no text; make it again")
    return keys


def whole_batches(count: int, batch: int, what: str) -> int:
    """Updates per epoch when incomplete batches are dropped.

    Raises:
        InputError: there is not even one batch.
    """
    if count < batch:
        raise InputError(
            f"{what}: {count} images do not fill one batch of {batch}; "
            "lower optim.batch or provide more"
        )
    return count // batch


def micro_batches(local_batch: int, max_batch: int | None) -> Iterator[slice]:
    """Cut a process's share of a batch into equal parts that fit its memory.

    Raises:
        InputError: the share cannot be cut into equal parts of at most `max_batch`.
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
    """This process's share of every batch of a training, from some update on.

    Args:
        dataset: the images.
        batch: images of all processes together.
        seed: of the order.
        epochs: whole training.
        start_update: updates that are done already.
        world: this process among those of its job.
        workers: loading processes.
        repeats: how often an epoch shows each of its images, see `EpochSampler`.
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
    of_batch: Callable[[dict[str, Any]], np.ndarray],
    *,
    batch: int,
    world: World,
    workers: int,
) -> np.ndarray:
    """Compute something for every image exactly once, shared by all processes.

    Args:
        dataset: the images.
        of_batch: gives one row per image of a batch.
        batch: images at once, of all processes together.
        world: this process among those of its job.
        workers: loading processes.

    Returns:
        the rows in the order of the data set, the same on every process.
    """
    sampler = EpochSampler(
        len(dataset),
        batch=batch,
        rank=world.rank,
        world=world.size,
        shuffle=False,
        drop_last=False,
    )
    own: list[tuple[np.ndarray, np.ndarray]] = []
    with torch.inference_mode():
        for images in loader(dataset, sampler, workers=workers):
            own.append((images["index"].numpy(), of_batch(images)))
    parts = [part for share in world.gather(own) for part in share]
    order = np.argsort(np.concatenate([places for places, _ in parts]))
    return np.concatenate([rows for _, rows in parts])[order]


def cache_bytes(megabytes: int) -> int:
    """Size of a cache of decoded images in bytes."""
    return megabytes * 2**20
