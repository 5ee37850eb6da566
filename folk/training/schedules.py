"""Schedules as pure functions of the number of updates."""

from typing import Any

from timm.scheduler.cosine_lr import CosineLRScheduler
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
    """Make the learning rate schedule: linear warm-up, then a half cosine down to `rate_min`.

    Call `.step_update(n)` before update n (from 0). With layer decay, groups differ in their peak
    only: all start at `rate_warmup_start` and end at `rate_min`.

    Args:
        optimizer: the `lr` of a group is its peak rate.
        rate_min: rate of all groups at the end.
        rate_warmup_start: rate of all groups at update 0.
        warmup_prefix: True starts the cosine after the warm-up; False counts it from update 0, so
            the rate drops a little when the warm-up ends.

    Source: Jiahao000/MFM@c9194b1 lr_scheduler.py uses the form without prefix, with timm 0.4.12,
        which knows no share of a group in minimum and start.
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


class PolynomialRate:
    """Learning rate: linear warm-up times polynomial decay to zero, both from update 0.

    Call `.step_update(n)` before update n (from 0). Each parameter group follows its own peak: with
    layer decay, the start of the warm-up shrinks like the peak.

    Args:
        optimizer: the `lr` of a group is its peak rate.
        warmup_ratio: share of the decayed rate at update 0.

    Source: BEiT on ADE20K, microsoft/unilm@86f74f0: 160,000 updates, 1,500 warm-up from ratio 1e-6,
        power 1, minimum 0; mmcv 1.3.0, whose warm-up multiplies the decayed rate of a group.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        updates: int,
        warmup_updates: int,
        warmup_ratio: float,
        power: float,
    ) -> None:
        self._optimizer = optimizer
        self._peaks = [float(group["lr"]) for group in optimizer.param_groups]
        self._updates = updates
        self._warmup_updates = warmup_updates
        self._warmup_ratio = warmup_ratio
        self._power = power

    def step_update(self, update: int) -> None:
        """Set the rate of every group for `update`."""
        share = (1.0 - update / self._updates) ** self._power
        share *= linear_warmup(update, self._warmup_updates, self._warmup_ratio, 1.0)
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share


def scaled_rates(batch: int, lr_batch: int | None, **rates: float) -> dict[str, float]:
    """Scale every rate linearly by `batch / lr_batch`; None leaves them as they are.

    Source: Jiahao000/MFM@c9194b1 main_mfm.py scales peak, warm-up start and minimum by batch / 512.
    """
    return {name: rate * batch / (lr_batch or batch) for name, rate in rates.items()}


def linear_warmup(update: int, warmup_updates: int, start: float, end: float) -> float:
    """Interpolate from `start` at update 0 to `end` at `warmup_updates`, constant after it."""
    if update >= warmup_updates:
        return end
    return start + (end - start) * update / warmup_updates


def current_rate(groups: list[dict[str, Any]]) -> float:
    """Return the learning rate of the head, the highest of all groups."""
    return float(max(group["lr"] for group in groups))
