"""From the `optim` section of a recipe that counts in epochs to an optimiser and its schedule."""

from typing import Any

from timm.scheduler.scheduler import Scheduler
from torch.optim import Optimizer

from folk.recipes.base import Optim
from folk.training.optimizer import create_optimizer
from folk.training.schedules import cosine_rate, scaled_rates


def optimizer_and_schedule(
    optim: Optim, groups: list[dict[str, Any]], updates_per_epoch: int
) -> tuple[Optimizer, Scheduler]:
    """Scale the rates to the batch, then make the optimiser and its cosine with warm-up.

    Args:
        optim: the section.
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
