"""Training loop over the images of a data set, with labels or without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from folk.data.dataset import ImageDataset
from folk.data.transforms import unit_range
from folk.stages.images import autocast, micro_batches, training_batches
from folk.stages.optimization import accumulated_step
from folk.stages.recipes.base import TrainingRuntime
from folk.training.distributed import World, set_numerics
from folk.training.history import History
from folk.training.loop import Plan, Resumable, train
from folk.training.randomness import derived_seed, seed_all

Batch = dict[str, Any]
Update = Callable[[int, Batch], dict[str, Tensor]]


def train_on(
    images: ImageDataset,
    update: Update,
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
            replay=runtime.replay,
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


def supervised_update(
    model: nn.Module,
    optimizer: Optimizer,
    schedule: Any,
    *,
    to_normal: Callable[[Tensor], Tensor],
    targets_of: Callable[[Tensor, Batch], tuple[Tensor, Tensor]],
    loss_of: Callable[[Any, Tensor], Tensor],
    precision: str,
    clip_grad: float | None,
    runtime: TrainingRuntime,
    seed: int,
    world: World,
) -> Update:
    """Make the update of a training with labels, for `train_on`.

    Args:
        model: the trained model, on its device.
        optimizer: its optimizer.
        schedule: sets the rates; has `step_update`.
        to_normal: images in [0, 1] -> normalized ones.
        targets_of: normalized images and their batch -> images and targets.
        loss_of: what the model returns, and targets -> a scalar.
        precision: of the forward pass.
        clip_grad: largest norm of the gradient; None for no limit.
        runtime: images at once, and whether the model is compiled.
        seed: of the run. Random numbers depend on it and the update alone.
        world: this process among those of its job.
    """
    wrapped = world.wrap(model, runtime.compile)

    def update(step: int, batch: Batch) -> dict[str, Tensor]:
        schedule.step_update(step)
        seed_all(seed, "update", step, world.rank)
        images = to_normal(unit_range(batch["image"].to(world.device, non_blocking=True)))
        images, targets = targets_of(images, batch)

        def loss_of_part(part: slice) -> Tensor:
            with autocast(world, precision):
                found = wrapped(images[part])
            return loss_of(found, targets[part])

        slices = micro_batches(len(images), runtime.max_batch)
        return accumulated_step(wrapped, world, optimizer, loss_of_part, slices, clip_grad)

    return update
