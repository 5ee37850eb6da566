"""Optimizer, schedule and accumulated step from a recipe's `optim` section."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from folk.evidence.core.errors import InputError
from folk.stages.images import micro_batches
from folk.stages.recipes.base import Optim
from folk.training.distributed import World
from folk.training.optimizer import create_optimizer
from folk.training.schedules import cosine_rate, current_rate, scaled_rates


def optimizer_and_schedule(
    optim: Optim, groups: list[dict[str, Any]], updates_per_epoch: int
) -> tuple[Optimizer, Scheduler]:
    """Scale the rates to the batch, then make the optimizer and its cosine schedule with warm-up.

    Args:
        optim: the section of a stage that counts in epochs.
        groups: parameter groups, as `folk.training.optimizer` makes them.
        updates_per_epoch: turns epochs into updates.
    """
    rates = scaled_rates(
        optim.batch,
        optim.lr_batch,
        lr=optim.lr,
        rate_min=optim.lr_min,
        rate_warmup_start=optim.lr_warmup_start,
    )
    optimizer = create_optimizer(
        optim.optimizer, groups, lr=rates.pop("lr"), betas=optim.betas, eps=optim.eps
    )
    schedule = cosine_rate(
        optimizer,
        updates=updates_per_epoch * optim.epochs,
        warmup_updates=round(optim.warmup_epochs * updates_per_epoch),
        warmup_prefix=optim.warmup_prefix,
        **rates,
    )
    return optimizer, schedule


def check_batch_norm_batch(
    model: nn.Module, batch: int, max_batch: int | None, world: World, views: int = 1
) -> None:
    """Check that batch norm gets at least two images per forward pass.

    Args:
        views: views of each image in one forward pass.

    Raises:
        InputError: the model has batch norm, and would get one view of one image.
    """
    share = batch // world.size
    part = next(micro_batches(share, max_batch)) if share else slice(0, 0)
    if views * (part.stop - part.start) != 1:
        return
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise InputError(
            f"optim.batch: batch norm needs at least 2 images per forward pass, got 1 (batch "
            f"{batch}, {world.size} processes, runtime.max_batch {max_batch}); increase "
            "optim.batch or runtime.max_batch"
        )


def accumulated_step(
    model: nn.Module,
    world: World,
    optimizer: Optimizer,
    loss_of: Callable[[slice], Tensor],
    slices: Iterable[slice],
    clip_grad: float | None,
) -> dict[str, Tensor]:
    """Make one update with gradients accumulated over a batch's equal parts.

    Args:
        model: the model whose gradient is clipped, as `world.wrap` has it.
        loss_of: computes the loss of one part, a scalar.
        clip_grad: largest norm of the gradient; None for no limit.

    Returns:
        loss, rate and, if clipped, the gradient's norm; still on the device.
    """
    optimizer.zero_grad(set_to_none=True)
    parts = list(slices)
    total: Tensor | None = None
    for number, part in enumerate(parts, start=1):
        # Processes exchange the gradient once, with the last part.
        wait = number < len(parts) and world.size > 1
        with model.no_sync() if wait else contextlib.nullcontext():  # type: ignore[operator]
            share = loss_of(part) / len(parts)
            share.backward()
        total = share.detach() if total is None else total + share.detach()
    assert total is not None, "a batch has at least one part"
    scalars = {"loss": total, "lr": torch.tensor(current_rate(optimizer.param_groups))}
    if clip_grad is not None:
        scalars["grad_norm"] = nn.utils.clip_grad_norm_(model.parameters(), clip_grad)
    optimizer.step()
    return scalars
