"""States of a study's jobs while it runs, from their files alone."""

import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from folk.evidence.audit.plan import Plan
from folk.evidence.record.failures import FAILED, PATTERN, WORK
from folk.evidence.record.record import OPEN_NAME
from folk.evidence.record.times import device_hours, gpus_of
from folk.evidence.study.study import Study

State = Literal["finished", "running", "waiting", "failed", "interrupted"]
STATES: tuple[State, ...] = ("finished", "running", "waiting", "failed", "interrupted")
# A job of another machine lives if it wrote something within so many seconds, unless more is known.
FRESH = 1800.0
TAIL_BYTES = 65536
NUM_LOG_LINES = 5
RATE_LINES = 20  # of the history, from which the speed of a training is taken

# Tells of a SLURM job whether it lives; None if unknown.
Lives = Callable[[str], bool | None]


@dataclass(frozen=True)
class Training:
    """Progress of a training, from its history.

    Attributes:
        step: updates made.
        share: part of all updates, in [0, 1]; None if the recipe has no length.
        loss: the last one logged.
        images_per_second: None if the recipe has no batch.
        seconds_left: from now; None if unknown.
    """

    step: int
    share: float | None
    loss: float | None
    images_per_second: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class JobStatus:
    """State of one job.

    Attributes:
        stage: its stage.
        run: run, data set or split; empty for the report.
        evaluation: its evaluation, None for none.
        folder: of its results.
        reads: folders of the jobs whose files it reads.
        state: see `STATES`; "interrupted" ended from outside, by a planned stop or without a word.
        record: its record or open record; empty if it never started.
        spent: hours times GPUs, or times threads where it has no GPU.
        why: why it ended, for one that did not finish.
        training: progress of one that has a history and is not finished.
    """

    stage: str
    run: str
    evaluation: str | None
    folder: Path
    reads: tuple[Path, ...]
    state: State
    record: Mapping[str, Any]
    spent: float
    why: str | None
    training: Training | None

    @property
    def name(self) -> str:
        """Stage, run and evaluation."""
        return " ".join(filter(None, (self.stage, self.run, self.evaluation)))

    @property
    def on_gpu(self) -> bool:
        """True if it ran on GPUs, so that `spent` counts these."""
        return bool(self.record) and gpus_of(self.record) > 0

    def seconds(self, now: float) -> float:
        """Seconds since its last start."""
        return max(0.0, now - _moment(self.record["started"]))

    @cached_property
    def log_lines(self) -> list[str]:
        """The last lines of its log."""
        return last_lines(self.folder / f"{self.stage}.log")


def last_lines(log: Path) -> list[str]:
    """Read the last lines of a log that are not empty; none if there is no log."""
    return [line.rstrip() for line in _tail(log).splitlines() if line.strip()][-NUM_LOG_LINES:]


def job_states(study: Study, results: Path, lives: Lives, now: float) -> list[JobStatus]:
    """Find the state of every job of a study, in running order, the report last.

    Args:
        study: the study, each fine-tuning seed an evaluation of its own.
        results: its own folder, such as `results/demo`.
        lives: tells of SLURM jobs.
        now: seconds since 1970.
    """
    planned = Plan(study, results).jobs
    places = [
        (
            job.stage,
            job.run,
            job.entry if study.stages[job.stage].is_evaluation else None,
            job.reads,
        )
        for job in planned.values()
    ]
    places.append(("report", "", None, tuple(planned)))
    return [_job(results, place, lives, now) for place in places]


def _job(
    results: Path,
    place: tuple[str, str, str | None, tuple[Path, ...]],
    lives: Lives,
    now: float,
) -> JobStatus:
    stage, run, evaluation, reads = place
    parts = [part for part in (stage, run, evaluation) if part]
    folder, work = results.joinpath(*parts), results.joinpath(WORK, *parts)

    def status(
        state: State, record: Mapping[str, Any], spent: float, why: str | None = None
    ) -> JobStatus:
        unfinished = state != "finished" and bool(record)
        training = _training(work, record, now, state == "running") if unfinished else None
        return JobStatus(stage, run, evaluation, folder, reads, state, record, spent, why, training)

    if (record := _read(folder / "record.json")) is not None:
        return status("finished", record, _spent(record))
    left = _read(work / OPEN_NAME)
    if left is None:
        # Its work folder was deleted, or it never began.
        failures = sorted(results.joinpath(FAILED, *parts).glob(PATTERN))
        last = _read(failures[-1]) if failures else None
        if last is None:
            return status("waiting", {}, 0.0)
        message = (last.get("error") or {}).get("message", "")
        return status(_ended(last), last, _spent(last), message.partition("\n")[0])
    if "outcome" in left:
        seconds = _moment(left["ended"]) - _moment(left["started"])
        return status(_ended(left), left, _spent({**left, "seconds": seconds}), left.get("why"))
    if _is_alive(work, left, lives, now):
        seconds = max(0.0, now - _moment(left["started"]))
        return status("running", left, _spent({**left, "seconds": seconds}))
    seconds = max(0.0, _last_written(work) - _moment(left["started"]))
    why = "its process is gone and left no record"
    return status("interrupted", left, _spent({**left, "seconds": seconds}), why)


def _ended(record: Mapping[str, Any]) -> State:
    return "interrupted" if record["outcome"] == "interrupted" else "failed"


def _spent(record: Mapping[str, Any]) -> float:
    """Hours times devices of all starts whose end is known, and of the last one."""
    known = [start for start in record["restarts"] if start["ended"] is not None]
    record = {**record, "restarts": known, "seconds": record["seconds"] or 0.0}
    return device_hours(record) or 0.0


def _is_alive(work: Path, left: Mapping[str, Any], lives: Lives, now: float) -> bool:
    slurm = left["scheduler"] or {}
    if (known := lives(str(slurm["job_id"])) if slurm.get("job_id") else None) is not None:
        return known
    if left["hardware"]["host"] == socket.gethostname():
        return _has_process(int(left["pid"]))
    return now - _last_written(work) < FRESH


def _has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _last_written(work: Path) -> float:
    times = [_mtime(work / name) for name in (OPEN_NAME, "progress.json", "metrics.jsonl")]
    return max(times)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _training(
    work: Path, record: Mapping[str, Any], now: float, is_running: bool
) -> Training | None:
    lines = [line for line in _history(work / "metrics.jsonl") if "loss" in line]
    if not lines:
        return None
    last, recipe = lines[-1], record["recipe"]
    optim = recipe.get("optim") or {}
    share = None
    if "updates" in optim:
        share = last["step"] / optim["updates"]
    elif "epochs" in optim and "epoch" in last:
        share = last["epoch"] / optim["epochs"]
    rate = last.get("updates_per_second")
    return Training(
        step=last["step"],
        share=None if share is None else min(1.0, share),
        loss=last["loss"],
        images_per_second=rate * optim["batch"] if rate and "batch" in optim else None,
        seconds_left=_seconds_left(lines, share, record, now) if is_running and share else None,
    )


def _seconds_left(
    lines: list[dict[str, Any]], share: float, record: Mapping[str, Any], now: float
) -> float | None:
    """Time to the end at the speed of the last lines of this start, evaluations included."""
    begun = _moment(record["started"])
    own = [line for line in lines if line["time"] >= begun][-RATE_LINES:]
    last = lines[-1]
    if len(own) > 1 and last["step"] > own[0]["step"]:
        of_update = (last["time"] - own[0]["time"]) / (last["step"] - own[0]["step"])
    elif own and last.get("updates_per_second"):
        of_update = 1.0 / last["updates_per_second"]
    else:
        return None
    left: float = last["step"] * (1.0 / share - 1.0) * of_update - (now - last["time"])
    return max(0.0, left)


def _history(path: Path) -> list[dict[str, Any]]:
    """Read the last lines of a growing history; a broken one is left out."""
    found = []
    for text in _tail(path).splitlines():
        try:
            line = json.loads(text)
            found.append(line | {"step": int(line["step"]), "time": float(line["time"])})
        except (ValueError, KeyError, TypeError):
            continue  # cut by the read, or by a kill
    return found


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any] | None:
    """Read an object that a job may be replacing; None if there is none now."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def longest_left(jobs: Iterable[JobStatus], hours: Mapping[Path, float]) -> float:
    """Sum the hours along the longest chain of jobs.

    Args:
        jobs: all of the study.
        hours: left of each job that is not finished, by folder.
    """
    reads = {job.folder: job.reads for job in jobs}

    @cache
    def until_end(folder: Path) -> float:
        before = max((until_end(other) for other in reads.get(folder, ())), default=0.0)
        return before + hours.get(folder, 0.0)

    return max(map(until_end, reads), default=0.0)
