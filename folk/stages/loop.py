"""Training loop over the images of a data set, with labels or without."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from folk.data.dataset import ImageDataset
from folk.data.transforms import unit_range
from folk.stages.images import autocast, micro_batches, training_batches
from folk.stages.optimization import accumulated_step
from folk.stages.task import Task
from folk.training.distributed import set_numerics
from folk.training.history import History
from folk.training.loop import Plan, Resumable, train
from folk.training.randomness import derived_seed, seed_all

Batch = dict[str, Any]
Update = Callable[[int, Batch], dict[str, Tensor]]


def train_on(
    task: Task[Any],
    images: ImageDataset,
    update: Update,
    after_epoch: Callable[[int], dict[str, float]] | None = None,
    *,
    parts: dict[str, Resumable],
    updates: int,
    updates_per_epoch: int,
    repeats: int = 1,
) -> History:
    """Run a training, from its last checkpoint if there is one.

    Args:
        task: of a recipe with `runtime` and `optim.batch`.
        images: the training images, in a new order in each epoch.
        update: makes one update of a batch and returns scalars that stay on the device.
        after_epoch: measures the model after epoch n (from 1), for the history.
        parts: content of the checkpoint, by name.
        updates: updates of the whole training; the last epoch may be incomplete.
        updates_per_epoch: whole batches in an epoch.
        repeats: copies of each image in an epoch, see `EpochSampler`.

    Returns:
        the whole history, that before a restart included.

    Raises:
        NonFiniteLossError, StoppedError: as `train`.
    """
    runtime, world = task.recipe.runtime, task.world
    set_numerics(world.device.type == "cuda", runtime.deterministic)
    return train(
        Plan(
            work=task.work,
            identity=task.identity,
            updates=updates,
            updates_per_epoch=updates_per_epoch,
            log_every=runtime.log_every,
            checkpoint_seconds=runtime.checkpoint_seconds,
            live=task.live,
            replay=runtime.replay,
        ),
        world,
        parts,
        lambda start: training_batches(
            images,
            batch=task.recipe.optim.batch,
            seed=derived_seed(task.seed, "order"),
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
    task: Task[Any],
    model: nn.Module,
    optimizer: Optimizer,
    schedule: Any,
    *,
    to_normal: Callable[[Tensor], Tensor],
    targets_of: Callable[[Tensor, Batch], tuple[Tensor, Tensor]],
    loss_of: Callable[[Any, Tensor], Tensor],
) -> Update:
    """Make the update of a training with labels, for `train_on`.

    Random numbers depend on the seed of the task and the update alone.

    Args:
        task: its recipe has precision, largest gradient and images at once.
        model: the trained model, on its device.
        schedule: sets the rates; has `step_update`.
        to_normal: images in [0, 1] -> normalized ones.
        targets_of: normalized images and their batch -> images and targets.
        loss_of: what the model returns, and targets -> a scalar.
    """
    optim, runtime, world = task.recipe.optim, task.recipe.runtime, task.world
    wrapped = world.wrap(model, runtime.compile)

    def update(step: int, batch: Batch) -> dict[str, Tensor]:
        schedule.step_update(step)
        seed_all(task.seed, "update", step, world.rank)
        images = to_normal(unit_range(batch["image"].to(world.device, non_blocking=True)))
        images, targets = targets_of(images, batch)

        def loss_of_part(part: slice) -> Tensor:
            with autocast(world, optim.precision):
                found = wrapped(images[part])
            return loss_of(found, targets[part])

        slices = micro_batches(len(images), runtime.max_batch)
        return accumulated_step(wrapped, world, optimizer, loss_of_part, slices, optim.clip_grad)

    return update
