"""Training loop over the images of a data set, with a recipe's `runtime`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from folk.data.dataset import ImageDataset
from folk.stages.images import training_batches
from folk.stages.recipes.base import TrainingRuntime
from folk.training.distributed import World, set_numerics
from folk.training.history import History
from folk.training.loop import Plan, Resumable, train
from folk.training.randomness import derived_seed


def train_on(
    images: ImageDataset,
    update: Callable[[int, dict[str, Any]], dict[str, Tensor]],
    after_epoch: Callable[[int], dict[str, float]] | None = None,
    *,
    parts: dict[str, Resumable],
    updates: int,
    updates_per_epoch: int,
    batch: int,
    repeats: int = 1,
    runtime: TrainingRuntime,
    work: Path,
    seed: int,
    identity: str,
    world: World,
    live: Callable[[int, dict[str, float]], None],
) -> History:
    """Run a training, from its last checkpoint if there is one.

    Args:
        images: the training images, in a new order in each epoch.
        update: makes one update of a batch and returns scalars that stay on the device.
        after_epoch: measures the model after epoch n (from 1), for the history.
        parts: content of the checkpoint, by name.
        updates: updates of the whole training; the last epoch may be incomplete.
        updates_per_epoch: whole batches in an epoch.
        batch: images of all processes together.
        repeats: copies of each image in an epoch, see `EpochSampler`.
        runtime: workers, cache, checkpoint interval.
        work: folder of checkpoint and history.
        seed: of the run; the order follows from it.
        identity: digest of everything that determines the result.
        world: this process among those of its job.
        live: called with every line of the history.

    Returns:
        the whole history, that before a restart included.

    Raises:
        NonFiniteLossError, StoppedError: as `train`.
    """
    set_numerics(world.device.type == "cuda", runtime.deterministic)
    return train(
        Plan(
            work=work,
            identity=identity,
            updates=updates,
            updates_per_epoch=updates_per_epoch,
            log_every=runtime.log_every,
            checkpoint_seconds=runtime.checkpoint_seconds,
            live=live,
        ),
        world,
        parts,
        lambda start: training_batches(
            images,
            batch=batch,
            seed=derived_seed(seed, "order"),
            epochs=-(-updates // updates_per_epoch),
            start_update=start,
            world=world,
            workers=runtime.workers,
            repeats=repeats,
        ),
        update,
        after_epoch,
    )
