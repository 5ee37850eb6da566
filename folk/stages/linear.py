"""Linear probe on frozen features: of whole images, or of new crops in each epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from folk.data.dataset import ImageDataset
from folk.evidence.results.metrics.classification import ranked, top_k_accuracy
from folk.stages.images import training_batches, whole_batches
from folk.stages.probe import Linear, ProbeRecipe
from folk.stages.task import Task
from folk.training.history import History
from folk.training.loop import NonFiniteLossError, Plan, train
from folk.training.randomness import derived_seed, seed_all
from folk.training.schedules import cosine_rate, current_rate, scaled_rates

LOG_EVERY = 50  # updates between two lines of metrics.jsonl; at an epoch's end there is one too


def linear_probe_on_features(
    task: Task[ProbeRecipe],
    seen: Float[np.ndarray, "n d"],
    seen_labels: Integer[np.ndarray, "n"],
    unseen: Float[np.ndarray, "m d"],
    unseen_labels: Integer[np.ndarray, "m"],
    *,
    num_classes: int,
) -> tuple[Float[np.ndarray, "m c"], History]:
    """Train a linear probe with SGD on stored features.

    Each feature is centered and scaled first: encoders differ in scale, and one learning rate must
    serve them all.

    Returns:
        logits of the unseen, and the history with `top1` after each epoch.

    Raises:
        NonFiniteLossError: the rate is too high.
    """
    section, seed, device = task.recipe.linear, task.seed, task.world.device
    mean, std = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    inputs, held_out = (torch.from_numpy((x - mean) / std).to(device) for x in (seen, unseen))
    targets = torch.from_numpy(seen_labels.astype(np.int64)).to(device)
    line = _new_line(inputs.shape[1], num_classes, seed).to(device)
    batch = min(section.batch, len(inputs))
    per_epoch = -(-len(inputs) // batch)
    optimizer, schedule = _optimizer(section, line, batch, section.epochs * per_epoch)
    history = History(task.work / "metrics.jsonl", 0)
    for epoch in range(section.epochs):
        order = torch.Generator().manual_seed(derived_seed(seed, "linear order", epoch))
        shuffled = torch.randperm(len(inputs), generator=order).to(device).split(batch)
        for number, chosen in enumerate(shuffled):
            schedule.step_update(epoch * per_epoch + number)
            optimizer.zero_grad()
            loss = cross_entropy(line(inputs[chosen]), targets[chosen])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = line(held_out).cpu().numpy()
        if not (torch.isfinite(loss) and np.isfinite(logits).all()):
            raise NonFiniteLossError(
                f"linear: the loss or the scores of epoch {epoch + 1} are not finite",
                "lower linear.lr",
            )
        values = {"loss": float(loss.detach()), "top1": _top1(unseen_labels, logits)}
        history.add((epoch + 1) * per_epoch, epoch + 1.0, values)
        task.live((epoch + 1) * per_epoch, values)
    history.close()
    return logits, history


def linear_probe_on_crops(
    task: Task[ProbeRecipe],
    images: ImageDataset,
    feature_of: Callable[[dict[str, Any]], Tensor],
    unseen: Float[np.ndarray, "m d"],
    unseen_labels: Integer[np.ndarray, "m"],
    *,
    num_classes: int,
) -> tuple[Float[np.ndarray, "m c"], History]:
    """Train a linear probe with SGD on features of new crops in each epoch.

    Args:
        images: random crops of the labeled images.
        feature_of: computes a batch's features, without gradient, on the task's device.
        unseen: features of the validation images, the accuracy of each epoch.

    Returns:
        logits of the unseen, and the history with `top1` after each epoch.

    Source: DINO, arXiv:2104.14294: SGD with momentum, a cosine to 0, crops and mirror, features as
        they are. We differ in that the cosine steps with each update, not with each epoch.

    Raises:
        InputError: the labeled images do not fill one batch.
    """
    section, runtime, world = task.recipe.linear, task.recipe.runtime, task.world
    per_epoch = whole_batches(len(images), section.batch, "labeled images")
    updates = per_epoch * section.epochs
    line = _new_line(unseen.shape[1], num_classes, task.seed).to(world.device)
    optimizer, schedule = _optimizer(section, line, section.batch, updates)
    wrapped, held_out = world.wrap(line), torch.from_numpy(unseen).to(world.device)

    def logits_of_unseen() -> np.ndarray:
        with torch.no_grad():
            return line(held_out).cpu().numpy()  # type: ignore[no-any-return]

    def update(step: int, batch: dict[str, Any]) -> dict[str, Tensor]:
        schedule.step_update(step)
        features = feature_of(batch)
        targets = batch["label"].to(world.device, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(wrapped(features), targets)
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach(), "lr": torch.tensor(current_rate(optimizer.param_groups))}

    history = train(
        Plan(
            work=task.work,
            identity=task.identity,
            updates=updates,
            updates_per_epoch=per_epoch,
            log_every=min(LOG_EVERY, per_epoch),
            checkpoint_seconds=runtime.checkpoint_seconds,
            live=task.live,
        ),
        world,
        {"line": line, "optimizer": optimizer},
        lambda start: training_batches(
            images,
            batch=section.batch,
            seed=derived_seed(task.seed, "linear order"),
            epochs=section.epochs,
            start_update=start,
            world=world,
            workers=runtime.workers,
        ),
        update,
        lambda epoch: {"top1": _top1(unseen_labels, logits_of_unseen())},
    )
    return logits_of_unseen(), history


def _new_line(in_features: int, num_classes: int, seed: int) -> nn.Linear:
    seed_all(seed, "linear")
    line = nn.Linear(in_features, num_classes)
    nn.init.normal_(line.weight, std=0.01)
    nn.init.zeros_(line.bias)
    return line


def _optimizer(section: Linear, line: nn.Linear, batch: int, updates: int) -> tuple[Optimizer, Any]:
    optimizer = torch.optim.SGD(
        line.parameters(),
        lr=scaled_rates(batch, section.lr_batch, lr=section.lr)["lr"],
        momentum=section.momentum,
        weight_decay=section.weight_decay,
    )
    schedule = cosine_rate(
        optimizer,
        updates=updates,
        warmup_updates=0,
        rate_min=0.0,
        rate_warmup_start=0.0,
        warmup_prefix=False,
    )
    return optimizer, schedule


def _top1(labels: np.ndarray, logits: np.ndarray) -> float:
    return top_k_accuracy(labels, ranked(logits, 1))
