"""What every stage that reads pictures does with a recipe's words."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from folk.data.shards import PictureTable, PreparedData
from folk.errors import InputError
from folk.training.distributed import World

MEAN = list(IMAGENET_DEFAULT_MEAN)
STD = list(IMAGENET_DEFAULT_STD)


def normalise(
    images: Float[Tensor, "b 3 h w"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "b 3 h w"]:
    """Centre and scale the colours of pictures in [0, 1]."""
    return (images - images.new_tensor(mean).view(-1, 1, 1)) / images.new_tensor(std).view(-1, 1, 1)


def autocast(world: World, precision: str) -> AbstractContextManager[Any]:
    """bf16 where the recipe asks for it, else nothing."""
    return torch.autocast(world.device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def labelled(data: PreparedData, keys_file: Path | None) -> PictureTable:
    """The labelled training pictures: all, or those whose keys a split kept.

    Raises:
        InputError: the split names a picture that the data set does not have.
    """
    table = data.split("train")
    if keys_file is None:
        return table
    wanted = pq.read_table(keys_file, columns=["key"]).column("key").to_pylist()
    row_of = {key: row for row, key in enumerate(table.keys())}
    lost = [key for key in wanted if key not in row_of]
    if lost:
        raise InputError(
            f"{keys_file}: {len(lost)} pictures are not in the training split of '{data.name}', "
            f"such as '{lost[0]}'; make the split again"
        )
    return table.select(torch.tensor([row_of[key] for key in wanted]).numpy())


def whole_batches(count: int, batch: int, what: str) -> int:
    """Updates per epoch when incomplete batches are dropped.

    Raises:
        InputError: there is not even one batch.
    """
    if count < batch:
        raise InputError(
            f"{what}: {count} pictures do not fill one batch of {batch}; "
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


def share_of_batch(batch: int, world: World) -> int:
    """How many pictures of each batch this process sees.

    Raises:
        InputError: the batch cannot be shared equally.
    """
    if batch % world.size:
        raise InputError(
            f"optim.batch: {batch} cannot be shared equally by {world.size} processes; "
            "choose a multiple or another number of processes"
        )
    return batch // world.size
