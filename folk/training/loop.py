"""Resumable training loop with checkpoints and non-finite checks."""

import json
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

from folk.evidence.core.errors import InputError, brief_with_type
from folk.evidence.core.files import write_json
from folk.evidence.core.replay_log import Cadence
from folk.training.checkpoint import load_checkpoint, save_checkpoint
from folk.training.distributed import World
from folk.training.history import History
from folk.training.replay import ReplayLog, answer_request

Batch = TypeVar("Batch")
DIVERGED = "diverged.json"  # next to the checkpoint, after a non-finite loss
STOPPED = 75  # exit status of a planned stop: "try again", and the next start continues
# Time between two agreements of all processes whether to stop or save; well below the 30 seconds
# between SLURM's SIGTERM and SIGKILL.
SECONDS_TO_AGREE = 5.0


@runtime_checkable
class Resumable(Protocol):
    """Anything whose state goes into the checkpoint: modules, optimizers."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...  # noqa: D102


class NonFiniteLossError(InputError):
    """Loss, gradient or weights were NaN or infinite; nothing after the last checkpoint is kept.

    Training is deterministic, so the next start of the same training raises this at once instead
    of computing its way from the last checkpoint to the same update again.

    Attributes:
        what: the number and its update.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}; {advice}")
        self.what = what


class StoppedError(SystemExit):
    """A planned stop: the state is saved, and the exit status asks for a restart.

    Attributes:
        why: the signal or the time limit, and the progress of the training.
    """

    def __init__(self, why: str) -> None:
        super().__init__(STOPPED)
        self.why = why

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True)
class Plan:
    """Lengths, folder and identity of a training."""

    work: Path  # folder of the growing state
    identity: str  # see `load_checkpoint`
    updates: int
    updates_per_epoch: int
    log_every: int  # updates
    checkpoint_seconds: float
    live: Callable[[int, dict[str, float]], None]  # called with every line of the history
    replay: Cadence | None = None  # of the log of states; None for no log


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
        world: this process among those of its job; only the main one writes.
        parts: content of the checkpoint, by name.
        batches: yields the batches from a number of updates on.
        update: makes one update and returns scalars that stay on the device.
        after_epoch: measures the model after epoch n (from 1), for the history.

    Returns:
        the whole history, that before a restart included.

    Raises:
        NonFiniteLossError: names the first bad update and the last good checkpoint; or an earlier
            start of this training ended so.
        StoppedError: a signal asked to stop, or time is up; the checkpoint is written.
    """
    if plan.replay is not None:
        answer_request(plan, world, parts, batches, update)
    note = plan.work / DIVERGED
    _refuse_to_repeat(note, plan.identity)
    try:
        return _train(plan, world, parts, batches, update, after_epoch)
    except NonFiniteLossError as error:
        if world.is_main:
            write_json(note, {"identity": plan.identity, "what": error.what})
        raise


def _train(
    plan: Plan,
    world: World,
    parts: dict[str, Resumable],
    batches: Callable[[int], Iterator[Batch]],
    update: Callable[[int, Batch], dict[str, Tensor]],
    after_epoch: Callable[[int], dict[str, float]] | None,
) -> History:
    path = plan.work / "checkpoint.pt"
    start = _resume(path, plan, world, parts)
    history = History(plan.work / "metrics.jsonl", start) if world.is_main else None
    log = None
    if plan.replay is not None and world.is_main:
        log = ReplayLog(plan.work, plan.replay, plan.updates, start, world, parts)
    finite = _Finite(plan, world, parts)
    saved, saved_at = start, time.monotonic()
    window_start, window_updates = time.monotonic(), 0
    ask_every = 1  # updates; adjusted to their speed at the first line of the history

    with _stop_requested() as stop:
        # The range comes first, so that no unused batch is loaded.
        for step, batch in zip(range(start, plan.updates), batches(start), strict=False):
            scalars = update(step, batch)
            finite.watch(step, scalars)
            done, window_updates = step + 1, window_updates + 1
            epoch_ends = done % plan.updates_per_epoch == 0
            log_now = done % plan.log_every == 0 or done == plan.updates

            if log_now:
                values = world.mean(scalars)
                finite.check(saved)
                values["updates_per_second"] = window_updates / (time.monotonic() - window_start)
                ask_every = _updates_to_agree(values["updates_per_second"], world)
                window_start, window_updates = time.monotonic(), 0
                _log(history, plan, done, values)
            if epoch_ends and after_epoch is not None:
                finite.check(saved, weights_of=done)
                paused = time.monotonic()
                measured = after_epoch(done // plan.updates_per_epoch)
                if measured:
                    _log(history, plan, done, measured)
                window_start += time.monotonic() - paused

            if log is not None:
                log.after(done)

            # Processes must agree, which costs a message and a wait for the device.
            ask = log_now or done % ask_every == 0
            why = _reason_to_stop(stop, world) if ask else None
            due = ask and world.any(time.monotonic() - saved_at >= plan.checkpoint_seconds)
            if ((why or due) and done < plan.updates) or done == plan.updates:
                # A finite loss may have a non-finite gradient, which would end up in the next
                # start or in the final encoder.
                finite.check(saved, weights_of=done)
            if (why or due) and done < plan.updates:
                if history is not None:
                    history.flush()
                    if log is not None:
                        log.flush()
                    state = {name: part.state_dict() for name, part in parts.items()}
                    save_checkpoint(path, plan.identity, done, state)
                    write_json(plan.work / "progress.json", {"step": done})
                world.wait()
                saved, saved_at = done, time.monotonic()
            if why and done < plan.updates:
                message = f"stopped after update {done} of {plan.updates}: {why}"
                if world.is_main:
                    print(f"{message}; the next start continues", file=sys.stderr)
                raise StoppedError(message)

    if history is None:
        return History(plan.work / f"rank{world.rank}.jsonl", 0)
    if log is not None:
        log.close()
    history.close()
    return history


def _updates_to_agree(updates_per_second: float, world: World) -> int:
    """Number of updates until several processes ask again; the same in all of them."""
    if world.size == 1:
        return 1
    return max(1, int(SECONDS_TO_AGREE * world.gather(updates_per_second)[0]))


def _reason_to_stop(stop: "_Stop", world: World) -> str | None:
    """Reason to stop, if a process has one; the same in all of them."""
    own = stop.signal or ("the time limit is near" if world.out_of_time() else None)
    if not world.any(own is not None):
        return None
    return next(reason for reason in world.gather(own) if reason)


def _resume(path: Path, plan: Plan, world: World, parts: dict[str, Resumable]) -> int:
    found = load_checkpoint(path, plan.identity)
    if found is None:
        if path.exists():
            print(
                f"{path}: made by another recipe, seed, data or code; starting anew",
                file=sys.stderr,
            )
        return 0
    update, state = found
    for name, part in parts.items():
        try:
            part.load_state_dict(state[name])
        except (LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            # The identity may exclude code, and other code may write other parts.
            raise InputError(
                f"{path}: '{name}' does not fit this training ({brief_with_type(error)}); delete "
                "the file to start anew"
            ) from error
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


def _refuse_to_repeat(note: Path, identity: str) -> None:
    if not note.is_file():
        return
    try:
        message = json.loads(note.read_text(encoding="utf-8"))
        ours, what = message["identity"] == identity, message["what"]
    except (ValueError, KeyError, TypeError):
        return  # not written by this program, so it means nothing
    if ours:
        raise NonFiniteLossError(
            f"{note}: an earlier start of this training ended because {what}",
            "it would end so again; change the recipe, or remove this file to continue from the "
            "checkpoint",
        )


class _Finite:
    """First update with a non-finite loss or gradient, kept on the device.

    Looking at the loss after every update would make the host wait for the device each time.
    """

    def __init__(self, plan: Plan, world: World, parts: dict[str, Resumable]) -> None:
        self._plan = plan
        self._world = world
        self._parts = parts
        self._never = torch.iinfo(torch.int64).max
        self._first: dict[str, Tensor] = {}

    def watch(self, step: int, scalars: dict[str, Tensor]) -> None:
        for name in WATCHED.keys() & scalars.keys():
            value = scalars[name].detach()
            if name not in self._first:
                self._first[name] = torch.tensor(self._never, device=value.device)
            first = self._first[name]
            here = torch.where(torch.isfinite(value), first, torch.full_like(first, step))
            self._first[name] = torch.minimum(first, here)

    def check(self, saved: int, weights_of: int = 0) -> None:
        """Stop all processes if any has seen a non-finite number.

        Args:
            saved: updates of the last good checkpoint, 0 without one.
            weights_of: number of updates made, to check the weights and the optimizer's state too,
                which costs more; 0 skips them.
        """
        own = {name: int(first.item()) for name, first in self._first.items()}
        firsts = [pair for all_of in self._world.gather(own) for pair in all_of.items()]
        name, first = min(firsts, key=lambda pair: pair[1], default=("loss", self._never))
        if first < self._never:
            self._stop(f"the {WATCHED[name]} of update {first + 1}", first + 1, saved)
        if weights_of:
            bad = next(_not_finite({n: p.state_dict() for n, p in self._parts.items()}), None)
            if self._world.any(bad is not None):
                found = next(name for name in self._world.gather(bad) if name)
                self._stop(f"{found} after update {weights_of}", weights_of, saved)

    def _stop(self, what: str, update: int, saved: int) -> None:
        path = self._plan.work / "checkpoint.pt"
        epoch = (update - 1) // self._plan.updates_per_epoch + 1
        last = f"{path} (update {saved})" if saved else "none yet"
        raise NonFiniteLossError(
            f"{what} (epoch {epoch}) is not finite",
            f"last good checkpoint: {last}; lower the learning rate or clip the gradient, then "
            "start again",
        )


# Scalars that an update returns, and their names in messages.
WATCHED = {"loss": "loss", "grad_norm": "gradient"}


def _not_finite(state: Any, name: str = "") -> Iterator[str]:
    """Yield the names of the tensors in nested dictionaries and lists with NaN or infinity."""
    if isinstance(state, Tensor):
        if state.is_floating_point() and not bool(torch.isfinite(state).all()):
            yield name
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from _not_finite(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, list | tuple):
        for key, value in enumerate(state):
            yield from _not_finite(value, f"{name}.{key}")


@dataclass
class _Stop:
    """The signal that asked to stop, if any."""

    signal: str | None = None


@contextmanager
def _stop_requested() -> Iterator[_Stop]:
    """Record SIGTERM, SIGUSR1 and Ctrl-C, so that the loop can save before it ends.

    A second Ctrl-C ends at once.
    """
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.signal = stop.signal or signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    asking = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    before = {number: signal.signal(number, ask) for number in asking}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
