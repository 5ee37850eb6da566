"""Progress of a call of snakemake: one block that changes and a summary, or plain lines.

`snakemake --logger folk` calls it, see `folk/cli/plugin`. On a terminal the block shows the running
jobs and the time to go; elsewhere each finished job is one line. Failures are printed at once.
"""

import statistics
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from folk.cli.read import from_here
from folk.evidence.audit.status import JobStatus, Training, job_states, last_lines
from folk.evidence.core.errors import InputError
from folk.evidence.record.times import hours_of
from folk.evidence.study.effective import effective_path
from folk.evidence.study.study import Study, load_study
from folk.stages.table import STAGES

INTERVAL = 2.0  # seconds between two looks at the files of the jobs, or ten times what a look takes
NUM_SHOWN = 10  # running jobs that the block names
AGAIN = "The same command goes on from here."


@dataclass(frozen=True)
class Job:
    """A job that Snakemake has started.

    Attributes:
        title: for a person, such as "Pre-training folk-s0".
        rule: its rule.
        log: its log, None if it has none.
        began: when, in seconds since 1970.
    """

    title: str
    rule: str
    log: Path | None
    began: float


class ToGo(NamedTuple):
    """Time to the end.

    Attributes:
        seconds: estimated.
        is_whole: False if a stage that is still to come was never measured; it counts as nothing.
    """

    seconds: float
    is_whole: bool

    def __str__(self) -> str:
        """A person's words."""
        minutes = round(self.seconds / 60)
        hours, rest = divmod(minutes, 60)
        spelt = f"{hours} h {rest:02d} min" if hours else f"{minutes} min" if minutes else "1 min"
        return f"{'about' if self.is_whole else 'at least'} {spelt} to go"


class Display:
    """View of one call of snakemake."""

    def __init__(
        self, planned: Counter[str], began: float, *, is_terminal: bool, colors: bool = True
    ) -> None:
        """Begin with the jobs of the call.

        Args:
            planned: number of jobs of each rule.
            began: seconds since 1970.
            is_terminal: False for plain lines without control characters.
            colors: False for none on a terminal.
        """
        self.planned = planned
        self.running: dict[int, Job] = {}
        self.finished: dict[int, Job] = {}
        self.failed: dict[int, Job] = {}
        self._stops = False
        self._began = began
        self._at_once = 0
        self._results: Path | None = None  # of the study
        self._study: Study | None = None
        self._seen: list[JobStatus] = []
        self._next_look = 0.0
        self._console = Console(
            stderr=True, force_terminal=is_terminal, no_color=None if colors else True
        )
        self._live = Live(
            console=self._console,
            get_renderable=self._block,
            refresh_per_second=2,
            transient=True,
        )

    def start(self, number: int, job: Job) -> None:
        """Note that a job starts, perhaps once more."""
        if self._results is None and job.log is not None:
            self._results = Path(*job.log.parts[:2])  # results/STUDY
        self.failed.pop(number, None)
        self.running[number] = job
        self._at_once = max(self._at_once, len(self.running))
        if self._console.is_terminal and not self._live.is_started:
            self._live.start()

    def finish(self, number: int, now: float) -> None:
        """Note that a job has finished; one that never started is none."""
        job = self.running.pop(number, None)
        if job is None:
            return
        self.finished[number] = job
        self._next_look = 0.0
        if not self._console.is_terminal:
            taken = _clock(now - job.began)
            self._print(f"{len(self.finished)}/{self.planned.total()} {job.title}, {taken}")
        elif len(self.finished) == self.planned.total():
            self._live.stop()  # what follows, such as the seal, prints by itself

    def fail(self, number: int, why: str | None = None) -> None:
        """Show why a job failed: the words given, and the end of its log."""
        job = self.running.pop(number, None)
        if job is None or self._stops:
            return
        self.failed[number] = job
        self.say(f"failed: {job.title}{f': {why}' if why else ''}", is_bad=True)
        if job.log is not None:
            lines = last_lines(job.log) or ["(empty)"]
            self._print("\n".join([f"  {job.log}", *(f"    {line}" for line in lines)]))

    def say(self, text: str, *, is_bad: bool) -> None:
        """Print a message above the block."""
        self._print(text, style="red" if is_bad else "")

    def stop(self) -> None:
        """Note that the user ends the call: the jobs that end from now on have not failed."""
        self._stops = True
        self.say("Stopping the running jobs; trainings keep their checkpoints.", is_bad=False)

    def close(self, log: Path | None) -> None:
        """Print the summary; `log` is Snakemake's own."""
        self._live.stop()
        taken = _clock(time.time() - self._began)
        name = self._results.name if self._results else "snakemake"
        done = f"{len(self.finished)} of {self.planned.total()} jobs done in {taken}"
        if self._stops:
            self.say(f"{name}: stopped by you, {done}. {AGAIN}", is_bad=True)
        elif self.failed:
            self.say(f"{name}: {len(self.failed)} failed, {done}. {AGAIN}", is_bad=True)
        else:
            self._print(f"{name}: {done}.", style="green")
        for job in self.failed.values():
            self._print(f"  failed: {job.title}, {job.log}")
        if log is not None:
            self._print(f"  log: {from_here(log)}", style="dim")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True, highlight=False)

    def _block(self) -> RenderableType:
        now = time.time()
        if now >= self._next_look:
            self._look(now)
        left = self.planned - Counter(
            job.rule for job in (*self.finished.values(), *self.failed.values())
        )
        to_go = time_to_go(left, self._seen, self._at_once, now)
        name = Text(self._results.name if self._results else "", style="bold")
        counts = Text(f"{len(self.finished)} of {self.planned.total()} jobs")
        if self.failed:
            counts.append(f", {len(self.failed)} failed", style="red")
        times = f"{_clock(now - self._began)}  {'stopping' if self._stops else to_go or ''}"
        room = self._console.width - name.cell_len - counts.cell_len - len(times) - 3 * 2
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(self.planned.total(), len(self.finished), width=max(1, min(20, room)))
        head.add_row(name, bar, counts, times)
        return Group(head, self._running(now))

    def _running(self, now: float) -> RenderableType:
        known = {job.folder / f"{job.stage}.log": job.training for job in self._seen}
        jobs = list(self.running.values())
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for job in jobs[:NUM_SHOWN]:
            training = known.get(job.log) if job.log else None
            progress = "" if training is None else _progress(training)
            table.add_row(f"  {job.title}", _clock(now - job.began), progress)
        if len(jobs) > NUM_SHOWN:
            table.add_row(f"  and {len(jobs) - NUM_SHOWN} more")
        return table

    def _look(self, now: float) -> None:
        """Read the files of the study's jobs, as `folk status` does."""
        if self._results is None:
            return
        try:
            if self._study is None:
                self._study = load_study(effective_path(self._results), STAGES)
            self._seen = job_states(self._study, self._results, lambda job: None, now)
        except InputError:
            self._seen = []  # no study of ours: names alone are shown
        self._next_look = now + max(INTERVAL, 10.0 * (time.time() - now))


def time_to_go(
    left: Counter[str], jobs: Iterable[JobStatus], at_once: int, now: float
) -> ToGo | None:
    """Estimate the time to the end from what jobs of the same kind took.

    Args:
        left: number of jobs of each rule that this call still has to finish.
        jobs: all jobs of the study.
        at_once: number of jobs that run at once.
        now: in seconds since 1970.

    Returns:
        None if nothing is known yet.
    """
    jobs = [job for job in jobs if job.stage != "report"]  # which takes seconds
    taken: dict[tuple[str, ...], list[float]] = {}
    for job in jobs:
        seconds = _whole_seconds(job, now)
        for kind in _kinds(job):
            taken.setdefault(kind, []).extend([] if seconds is None else [seconds])

    def seconds_left(job: JobStatus) -> float | None:
        known = next((found for kind in _kinds(job) if (found := taken[kind])), None)
        if known is None:
            return None
        training, whole = job.training, statistics.fmean(known)
        if job.state == "running":
            if training is not None and training.seconds_left is not None:
                return training.seconds_left
            return max(0.0, whole - job.seconds(now))
        done = training.share if training is not None and job.state == "interrupted" else None
        return whole * (1.0 - (done or 0.0))

    work, longest, is_whole = 0.0, 0.0, True
    for stage in {job.stage for job in jobs if left[job.stage]}:
        own = [job for job in jobs if job.stage == stage]
        # Where Snakemake makes finished jobs again, all of the stage say what one takes.
        open_jobs = [job for job in own if job.state != "finished"] or own
        known = [found for job in open_jobs if (found := seconds_left(job)) is not None]
        if known:
            work += left[stage] * statistics.fmean(known)
            longest = max(longest, *known)
        is_whole &= bool(known)
    if not work:
        return None
    return ToGo(max(longest, work / max(1, at_once)), is_whole)


def _kinds(job: JobStatus) -> list[tuple[str, ...]]:
    """Return keys of the jobs that take as long, the most alike first: those of other seeds."""
    row = job.run.rpartition("-s")[0]
    return [(job.stage, row, job.evaluation or ""), (job.stage, job.evaluation or ""), (job.stage,)]


def _whole_seconds(job: JobStatus, now: float) -> float | None:
    """Return what a finished job took, or a running training will have taken."""
    if job.state == "finished":
        hours = hours_of(job.record)
        return None if hours is None else 3600.0 * hours
    if job.state == "running" and job.training and job.training.seconds_left is not None:
        return job.seconds(now) + job.training.seconds_left
    return None


def _progress(training: Training) -> str:
    parts = []
    if training.share is not None:
        parts.append(f"{training.share:.0%}")
    if training.loss is not None:
        parts.append(f"loss {training.loss:.3g}")
    if training.seconds_left is not None:
        parts.append(f"{_clock(training.seconds_left)} to go")
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
