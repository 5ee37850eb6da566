"""Command `status`, which shows a study while it runs."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from folk.cli.read import Results, StudyFile, effective_study
from folk.evidence.audit.status import STATES, JobStatus, job_states, longest_left
from folk.evidence.core.errors import InputError
from folk.evidence.plan.figures import MEASURED, Figure, total
from folk.evidence.plan.measured import read_ledger
from folk.slurm.ledger import LEDGER, Ledger

INTERVAL = 5.0  # seconds between two looks
_COLORS = {"finished": "green", "running": "cyan", "failed": "red", "interrupted": "yellow"}


@dataclass(frozen=True)
class Overview:
    """State of a study.

    Attributes:
        study: its name.
        jobs: all jobs.
        queued: folders of those that wait in SLURM's queue.
        left: hours left of each job that is not finished, by folder.
        devices: number of GPUs, or of threads, and True for GPUs, by stage.
    """

    study: str
    jobs: list[JobStatus]
    queued: set[Path]
    left: dict[Path, Figure]
    devices: dict[str, tuple[int, bool]]

    @property
    def is_finished(self) -> bool:
        """True if every job is."""
        return all(job.state == "finished" for job in self.jobs)

    @property
    def num_running(self) -> int:
        """Number of running jobs."""
        return sum(job.state == "running" for job in self.jobs)

    @property
    def hours_left(self) -> Figure | None:
        """Hours until the end with as many jobs at once as run now; None if none runs."""
        if not self.num_running:
            return None
        work = total(self.left.values())
        chain = longest_left(self.jobs, {folder: f.value for folder, f in self.left.items()})
        return Figure(max(chain, work.value / self.num_running), work.basis)

    def spent(self, on_gpu: bool) -> float:
        """GPU-hours, or the core-hours of jobs without a GPU."""
        return sum((job.spent for job in self.jobs if job.on_gpu == on_gpu), 0.0)

    def to_come(self, on_gpu: bool) -> Figure:
        """GPU-hours, or core-hours, that are still to be spent."""
        return total(
            self.left[job.folder].times(float(number))
            for job in self.jobs
            if job.folder in self.left
            for number, is_gpu in [self.devices[job.stage]]
            if is_gpu == on_gpu
        )


def status(
    study: StudyFile = Path("config/demo.yaml"),
    results: Results = Path("results"),
    watch: Annotated[
        bool, typer.Option("--watch", help="look again every five seconds until all is finished")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
) -> None:
    """Show the jobs of a study and the time to go.

    Reads only files; asks neither snakemake nor SLURM. A finished job counts as finished even if
    snakemake would run it again; `snakemake -n` shows that.
    """
    if watch and as_json:
        raise InputError("--watch: redraws a screen; leave out --json")
    look = _observer(study, results)
    if as_json:
        print(json.dumps(_as_json(look(), time.time()), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if not watch:
        console.print(_shown(look()))
        return
    try:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                seen = look()
                live.update(_shown(seen), refresh=True)
                if seen.is_finished:
                    return
                time.sleep(INTERVAL)
    except KeyboardInterrupt:
        return  # the jobs go on


def _observer(study: Path, results: Path) -> Any:
    """Read what does not change while a study runs; return what looks at its jobs."""
    from folk.cli.planned_jobs import Planner
    from folk.stages.recipes.named import recipes_of

    named, path = effective_study(study, results)
    planner = Planner(named, recipes_of(named, path), read_ledger(results))
    ledger = Ledger(LEDGER)

    def lives(job: str) -> bool | None:
        return (LEDGER / f"{job}.json").exists() if ledger.knows(job) else None

    def hours_left(job: JobStatus, now: float) -> Figure:
        if job.stage not in named.stages or named.stages[job.stage].section is None:
            return Figure()  # the report takes seconds
        training = job.training
        if training is not None and training.seconds_left is not None:
            return Figure.of(training.seconds_left / 3600, MEASURED)
        row = job.run.rpartition("-s")[0] if named.stages[job.stage].of_runs else None
        entry = named.entry_name(job.stage, job.run, job.evaluation)
        planned = planner.hours(job.stage, entry, row)
        if job.state == "running":
            done = job.seconds(now) / 3600
            return Figure(max(0.0, planned.value - done), planned.basis)
        if job.state == "interrupted" and training is not None and training.share is not None:
            return planned.times(1.0 - training.share)  # it goes on from its checkpoint
        return planned

    def look() -> Overview:
        now = time.time()
        try:
            owed = ledger.owed()
        except ValueError as error:
            raise InputError(str(error)) from error
        jobs = job_states(named, results / named.name, lives, now)
        asked = {job.stage: planner.device(job.stage) for job in jobs}
        return Overview(
            study=named.name,
            jobs=jobs,
            queued={Path(file).parent for each in owed for file in each.outputs},
            left={job.folder: hours_left(job, now) for job in jobs if job.state != "finished"},
            devices={
                stage: (each.gpus or each.threads, each.gpus > 0) for stage, each in asked.items()
            },
        )

    return look


def _shown(seen: Overview) -> RenderableType:
    counts = Counter(job.state for job in seen.jobs)
    words = [
        f"[{_COLORS.get(state, 'default')}]{counts[state]} {state}[/]"
        for state in STATES
        if counts[state]
    ]
    parts: list[RenderableType] = [
        Text.from_markup(f"Study {seen.study}: {', '.join(words)}"),
        _stages(seen),
    ]
    running = [job for job in seen.jobs if job.state == "running"]
    if running:
        parts.append(_running(running, time.time()))
    for job in seen.jobs:
        if job.state in ("failed", "interrupted"):
            head = Text(f"{job.name}: {job.state}", style=_COLORS[job.state])
            parts.append(head.append(f", {job.why}" if job.why else "", style="default"))
            log = job.folder / f"{job.stage}.log"
            if job.log_lines:
                parts.append(Text(f"  {log}", style="dim"))
                parts += [Text(f"    {line}") for line in job.log_lines]
    return Group(*parts, *_sums(seen))


def _stages(seen: Overview) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("stage", no_wrap=True)
    shown = [state for state in STATES if any(job.state == state for job in seen.jobs)]
    for state in shown:
        table.add_column(state, justify="right", style=_COLORS.get(state))
    for stage in dict.fromkeys(job.stage for job in seen.jobs):
        own = [job for job in seen.jobs if job.stage == stage]
        counts = Counter(job.state for job in own)
        in_queue = sum(job.state == "waiting" and job.folder in seen.queued for job in own)
        cells = {state: str(counts[state] or "") for state in shown}
        if in_queue:
            cells["waiting"] += f" ({in_queue} in SLURM's queue)"
        table.add_row(stage, *cells.values())
    return table


def _running(jobs: list[JobStatus], now: float) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("running", no_wrap=True)
    for header in ("done", "update", "loss", "images/s", "since", "to go"):
        table.add_column(header, justify="right")
    for job in jobs:
        known = job.training
        table.add_row(
            job.name,
            "" if known is None or known.share is None else f"{known.share:.0%}",
            "" if known is None else f"{known.step:,}",
            "" if known is None or known.loss is None else f"{known.loss:.4g}",
            ""
            if known is None or known.images_per_second is None
            else f"{known.images_per_second:,.0f}",
            _time(job.seconds(now)),
            "" if known is None or known.seconds_left is None else _time(known.seconds_left),
        )
    return table


def _sums(seen: Overview) -> list[RenderableType]:
    lines = []
    for on_gpu, unit in ((True, "GPU-hours"), (False, "core-hours")):
        spent, to_come = seen.spent(on_gpu), seen.to_come(on_gpu)
        if spent or to_come.value:
            rest = to_come if to_come.value else 0
            lines.append(f"{unit}: {spent:.2g} spent, {rest} to come")
    hours = seen.hours_left
    if hours is not None:
        lines.append(
            f"to go: {hours} h with {seen.num_running} at once (≤: from the time limits of jobs "
            "that were never measured)"
        )
    return [Text(line) for line in lines]


def _as_json(seen: Overview, now: float) -> dict[str, Any]:
    hours = seen.hours_left
    return {
        "study": seen.study,
        "counts": {state: sum(job.state == state for job in seen.jobs) for state in STATES},
        "hours_left": None if hours is None else hours.to_json(),
        **{
            name: {"spent": seen.spent(on_gpu), "to_come": seen.to_come(on_gpu).to_json()}
            for name, on_gpu in (("gpu_hours", True), ("core_hours", False))
        },
        "jobs": [_job_json(seen, job, now) for job in seen.jobs],
    }


def _job_json(seen: Overview, job: JobStatus, now: float) -> dict[str, Any]:
    slurm = job.record.get("scheduler") or {}
    found: dict[str, Any] = {
        "stage": job.stage,
        "run": job.run or None,
        "evaluation": job.evaluation,
        "state": job.state,
        "queued": job.state == "waiting" and job.folder in seen.queued,
        "slurm_job": slurm.get("job_id"),
    }
    if job.state == "running":
        found["seconds"] = job.seconds(now)
    if job.training is not None:
        found["training"] = vars(job.training)
    if job.state in ("failed", "interrupted"):
        found |= {"why": job.why, "log": f"{job.folder}/{job.stage}.log", "lines": job.log_lines}
    return found


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
