"""Values that change with the number of updates made, as functions of that number alone."""

import math
from typing import Any

from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.poly_lr import PolyLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch.optim import Optimizer


def cosine_rate(
    optimizer: Optimizer,
    *,
    updates: int,
    warmup_updates: int,
    rate_min: float,
    rate_warmup_start: float,
    warmup_prefix: bool,
) -> Scheduler:
    """Learning rate: linear warm-up, then a half cosine down to `rate_min`.

    Call `.step_update(n)` before update n (from 0). Layer decay is kept: a parameter group with
    `lr_scale` gets that share of the rate.

    Args:
        optimizer: its groups' `lr` is the peak rate.
        updates: length of the whole schedule.
        warmup_updates: length of the warm-up.
        rate_min: rate at the end.
        rate_warmup_start: rate of update 0.
        warmup_prefix: True starts the cosine after the warm-up; False counts it from update 0, so
            the rate drops a little when the warm-up ends.

    Source: Jiahao000/MFM@c9194b1 lr_scheduler.py uses the form without prefix.
    """
    return CosineLRScheduler(
        optimizer,
        t_initial=updates - warmup_updates if warmup_prefix else updates,
        lr_min=rate_min,
        warmup_t=warmup_updates,
        warmup_lr_init=rate_warmup_start,
        warmup_prefix=warmup_prefix,
        t_in_epochs=False,
    )


def polynomial_rate(
    optimizer: Optimizer,
    *,
    updates: int,
    warmup_updates: int,
    rate_warmup_start: float,
    power: float,
) -> Scheduler:
    """Learning rate: linear warm-up, then polynomial decay to zero, counted from update 0.

    Source: BEiT on ADE20K, microsoft/unilm@86f74f0: 160,000 updates, 1,500 warm-up, power 1.
    """
    return PolyLRScheduler(
        optimizer,
        t_initial=updates,
        power=power,
        lr_min=0.0,
        warmup_t=warmup_updates,
        warmup_lr_init=rate_warmup_start,
        t_in_epochs=False,
    )


def scaled_rates(batch: int, lr_batch: int, **rates: float) -> dict[str, float]:
    """Scale every rate linearly by `batch / lr_batch`.

    Source: Jiahao000/MFM@c9194b1 main_mfm.py scales peak, warm-up start and minimum by batch / 512.
    """
    return {name: rate * batch / lr_batch for name, rate in rates.items()}


def cosine(update: int, updates: int, start: float, end: float) -> float:
    """Half cosine from `start` at update 0 to `end` at update `updates - 1`.

    Source: facebookresearch/dino@7c446df utils.py, the form of its teacher momentum.
    """
    done = min(1.0, update / max(1, updates - 1))
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * done))


def linear_warmup(update: int, warmup_updates: int, start: float, end: float) -> float:
    """Linear from `start` at update 0 to `end` at update `warmup_updates` and after it."""
    if update >= warmup_updates:
        return end
    return start + (end - start) * update / warmup_updates


def teacher_temperature(epoch: float, warmup_epochs: float, start: float, end: float) -> float:
    """Softmax temperature of the teacher: linear over the warm-up epochs, constant within each.

    Args:
        epoch: position of the training, from 0; its whole part counts.
        warmup_epochs: N; epoch 0 has `start` and epoch N - 1 has `end`. Of one warm-up epoch the
            temperature is `start`; without any it is `end` from the beginning.
        start: temperature of epoch 0.
        end: temperature after the warm-up.

    Source: facebookresearch/dino@7c446df main_dino.py, DINOLoss: N values from start to end.
    """
    whole = math.floor(epoch)
    if whole >= warmup_epochs:
        return end
    done = min(1.0, whole / (warmup_epochs - 1)) if warmup_epochs > 1 else 0.0
    return start + (end - start) * done


def current_rate(groups: list[dict[str, Any]]) -> float:
    """The undecayed learning rate of an optimiser's groups."""
    return float(max(group["lr"] for group in groups))
