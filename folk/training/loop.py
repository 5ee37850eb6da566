"""The one training loop: updates in order, a history, checkpoints, and an honest end."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from folk.files import write_json
from folk.training.checkpoint import load_checkpoint, save_checkpoint
from folk.training.distributed import World
from folk.training.history import History

Batch = TypeVar("Batch")
STOPPED = 75  # exit status of a planned stop: "try again", and the next start continues
# Between two moments at which several processes agree whether to stop or save; well below the 30
# seconds that SLURM leaves between SIGTERM and SIGKILL.
SECONDS_TO_AGREE = 5.0


@runtime_checkable
class Resumable(Protocol):
    """Anything whose state goes into the checkpoint: modules, optimisers."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...  # noqa: D102


class NonFiniteLossError(RuntimeError):
    """The loss was NaN or infinite; nothing after the last checkpoint is kept."""


class StoppedError(SystemExit):
    """A planned stop: the state is saved, the exit status says to come again.

    Attributes:
        why: the signal, or the time limit, and how far the training came.
    """

    def __init__(self, why: str) -> None:
        super().__init__(STOPPED)
        self.why = why

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True)
class Plan:
    """What the loop needs to know besides the update itself."""

    work: Path  # folder of the growing state
    identity: str  # see `load_checkpoint`
    updates: int
    updates_per_epoch: int
    log_every: int  # updates
    checkpoint_seconds: float
    live: Callable[[int, dict[str, float]], None]  # told every line of the history


def train(
    plan: Plan,
    world: World,
    parts: dict[str, Resumable],
    batches: Callable[[int], Iterator[Batch]],
    update: Callable[[int, Batch], dict[str, Tensor]],
    after_epoch: Callable[[int], dict[str, float]] | None = None,
) -> History:
    """Make `plan.updates` updates, from the last checkpoint if there is one.

    Args:
        plan: lengths, folder and identity.
        world: this process among those of its job; only the main one writes.
        parts: what the checkpoint holds, by name.
        batches: gives the batches from a number of updates on.
        update: makes one update and returns scalars that stay on the device.
        after_epoch: measures the model after epoch n (from 1), for the history.

    Returns:
        the whole history, that before a restart included.

    Raises:
        NonFiniteLossError: names the first bad update and the last good checkpoint.
        StoppedError: a signal asked to stop, or time is up; the checkpoint is written.
    """
    path = plan.work / "checkpoint.pt"
    start = _resume(path, plan, world, parts)
    history = History(plan.work / "metrics.jsonl", start) if world.is_main else None
    finite = _FirstNonFinite(world.device)
    saved, saved_at = start, time.monotonic()
    window_start, window_updates = time.monotonic(), 0
    ask_every = 1  # updates; known when the first line of the history tells how long they take

    with _stop_requested() as stop:
        # The range comes first, so that no batch is loaded that no update will see.
        for step, batch in zip(range(start, plan.updates), batches(start), strict=False):
            scalars = update(step, batch)
            finite.watch(step, scalars["loss"])
            done, window_updates = step + 1, window_updates + 1
            epoch_ends = done % plan.updates_per_epoch == 0
            log_now = done % plan.log_every == 0 or done == plan.updates

            if log_now:
                values = world.mean(scalars)
                finite.check(path, saved)
                values["updates_per_second"] = window_updates / (time.monotonic() - window_start)
                ask_every = _updates_to_agree(values["updates_per_second"], world)
                window_start, window_updates = time.monotonic(), 0
                _log(history, plan, done, values)
            if epoch_ends and after_epoch is not None:
                measured = after_epoch(done // plan.updates_per_epoch)
                if measured:
                    _log(history, plan, done, measured)
                window_start = time.monotonic()

            # Processes must agree, and agreeing costs a message and a wait for the device.
            ask = log_now or done % ask_every == 0
            why = _reason_to_stop(stop, world) if ask else None
            due = ask and world.any(time.monotonic() - saved_at >= plan.checkpoint_seconds)
            if (why or due) and done < plan.updates:
                finite.check(path, saved)
                if history is not None:
                    history.flush()
                    state = {name: part.state_dict() for name, part in parts.items()}
                    save_checkpoint(path, plan.identity, done, state)
                    write_json(plan.work / "progress.json", {"step": done})
                world.wait()
                saved, saved_at = done, time.monotonic()
            if why and done < plan.updates:
                said = f"stopped after update {done} of {plan.updates}: {why}"
                if world.is_main:
                    print(f"{said}; the next start continues", file=sys.stderr)
                raise StoppedError(said)

    if history is None:
        return History(plan.work / f"rank{world.rank}.jsonl", 0)
    history.close()
    return history


def forget(work: Path) -> None:
    """Remove the growing state of a finished training; its results stand elsewhere now."""
    for name in ("checkpoint.pt", "progress.json"):
        (work / name).unlink(missing_ok=True)


def _updates_to_agree(updates_per_second: float, world: World) -> int:
    """After how many updates several processes ask again; the same number in all of them."""
    if world.size == 1:
        return 1
    return max(1, int(SECONDS_TO_AGREE * world.gather(updates_per_second)[0]))


def _reason_to_stop(stop: "_Stop", world: World) -> str | None:
    """Why to stop, where a process has a reason; the same in all of them."""
    own = stop.signal or ("the time limit is near" if world.out_of_time() else None)
    if not world.any(own is not None):
        return None
    return next(reason for reason in world.gather(own) if reason)


def _resume(path: Path, plan: Plan, world: World, parts: dict[str, Resumable]) -> int:
    found = load_checkpoint(path, plan.identity)
    if found is None:
        if path.exists():
            print(f"{path}: of another recipe, seed, data or code; starting anew", file=sys.stderr)
        return 0
    update, state = found
    for name, part in parts.items():
        part.load_state_dict(state[name])
    if world.is_main:
        print(f"{path}: continuing after update {update} of {plan.updates}", file=sys.stderr)
    return update


def _log(history: History | None, plan: Plan, done: int, values: dict[str, float]) -> None:
    if history is None:
        return
    epoch = done / plan.updates_per_epoch
    history.add(done, epoch, values)
    plan.live(done, values)
    shown = "  ".join(f"{name} {value:.5g}" for name, value in values.items())
    print(f"update {done}/{plan.updates}  epoch {epoch:.2f}  {shown}", file=sys.stderr)


class _FirstNonFinite:
    """Remembers, on the device, the first update whose loss was not finite.

    Looking at the loss after every update would make the host wait for the device each time.
    """

    def __init__(self, device: torch.device) -> None:
        self._never = torch.iinfo(torch.int64).max
        self._first = torch.tensor(self._never, device=device)

    def watch(self, step: int, loss: Tensor) -> None:
        bad = torch.full_like(self._first, step)
        here = torch.where(torch.isfinite(loss.detach()), self._first, bad)
        self._first = torch.minimum(self._first, here)

    def check(self, checkpoint: Path, saved: int) -> None:
        first = int(self._first.item())
        if first < self._never:
            last = f"{checkpoint} (update {saved})" if saved else "none yet"
            raise NonFiniteLossError(
                f"the loss of update {first + 1} is not finite; last good checkpoint: {last}; "
                "lower the learning rate or clip the gradient, then start again"
            )


@dataclass
class _Stop:
    """Whether a signal asked to stop, and which."""

    signal: str | None = None


@contextmanager
def _stop_requested() -> Iterator[_Stop]:
    """What SIGTERM and SIGUSR1 leave, so that the loop can save before it leaves."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.signal = stop.signal or signal.Signals(number).name

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
