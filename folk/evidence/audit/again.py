"""Rerun of jobs in a scratch folder, and comparison of what they make with what is stored.

A job runs in a separate process, with command and recipe of its record, so that this module needs
none of its packages.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from folk.evidence.audit.chain import Job
from folk.evidence.audit.checks.cells import Derived
from folk.evidence.audit.command import options_of
from folk.evidence.audit.file_states import FileStates
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.plan import Plan, Start
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.files import write_json
from folk.evidence.record.environment import ALLOWED_VARIABLES
from folk.evidence.record.failures import WORK
from folk.evidence.record.lineage import is_by_value
from folk.evidence.results.cells import Cell, derive_cell
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.evidence.study.stage import Stage

Closeness = Literal["bitwise", "allclose", "other"]

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # of logits; the order of sums depends on the machine


class Scratch:
    """A folder laid out as a study's results, in which jobs are run again.

    The results of all other jobs are links. Nothing is written to the study's own folder.

    Args:
        plan: the jobs of the study.
        folder: an empty folder.
        jobs: those to run again.
    """

    def __init__(self, plan: Plan, folder: Path, jobs: Iterable[Job]) -> None:
        self.folder, self._results = folder, plan.results
        self._stages = plan.study.stages
        again = {job.path.parent for job in jobs}
        for place in plan.jobs:
            if place not in again and place.is_dir():
                link = self.at(place)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(place.resolve(), target_is_directory=True)

    def at(self, path: Path) -> Path:
        """Return the place of a file or folder of the study's results."""
        return self.folder / path.relative_to(self._results)

    def run(self, job: Job, *, threads: int | None = None, elsewhere: bool = False) -> str | None:
        """Run a job again, its makers before it; return the problem, if any. See `rerun`."""
        place = job.path.parent.relative_to(self._results)
        recipe = self.folder / WORK / f"{job.id}.yaml"
        write_json(recipe, job.record["recipe"])
        paths = {"--out": self.folder / place, "--work": self.folder / WORK / place}
        return rerun(
            job,
            self._stages[job.record["stage"]],
            paths | {"--recipe": recipe},
            without=("--set",),
            threads=threads,
            moved=(self._results, self.folder),
            elsewhere=elsewhere,
        )


def jobs_again(subject: Subject, cell: str, start: Start) -> list[Job]:
    """List the jobs to run again for a cell, makers before readers.

    Args:
        subject: the study.
        cell: table/row/column.
        start: "evaluation" reads the stored encoders; "pretrain" makes them again, from the stored
            data where they are here, else from their source.

    Raises:
        InputError: as `evaluations_of`, or a file that is to be read is missing or has other bytes
            than its record.
    """
    wanted = {job.path: job for job in evaluations_of(subject, [cell], "rerun")}
    behind = subject.chain.behind(wanted.values())
    if start == "pretrain":
        wanted |= {
            job.path: job for job in behind if subject.study.stages[job.record["stage"]].of_runs
        }
    files = FileStates(subject.chain.root, subject.results, "all")
    for job in reversed(behind):
        if job.path not in wanted:
            continue
        for link in subject.chain.links(job):
            maker = link.maker
            if is_by_value(link.entry["name"]) or (maker is not None and maker.path in wanted):
                continue
            is_data = maker is not None and not subject.study.stages[maker.record["stage"]].of_runs
            # A data set is read by more than the files that the reader's record names.
            entries = maker.outputs if maker is not None and is_data else [link.entry]
            found = {files.state(entry): entry["path"] for entry in entries}
            if "other" in found:
                raise InputError(f"{found['other']}: other bytes than its record has; restore it")
            absent = found.get("missing") or found.get("elsewhere")
            if absent is None:
                continue
            if maker is not None and start == "pretrain":
                wanted[maker.path] = maker
                continue
            remedy = "provide it" if maker is None else "restore it, or give --from pretrain"
            raise InputError(f"{absent}: missing; {job.path} read it; {remedy}")
    return [job for job in behind if job.path in wanted]


def evaluations_of(subject: Subject, names: Sequence[str], asked_by: str = "--deep") -> list[Job]:
    """Find the jobs of cells (table/row/column) or evaluations (run/evaluation).

    Args:
        subject: the study.
        names: of cells or evaluations.
        asked_by: the option or command, for an error.

    Raises:
        InputError: unknown name, no finished record, or a stage that cannot be rerun alone.
    """
    found: dict[Path, Job] = {}
    plan = subject.plan
    short = {"/".join(f.relative_to(subject.results).parts[1:]): f for f in plan.jobs}
    for name in names:
        if name in plan.cell_ids:
            folders = plan.evaluations_of(name)
        elif name in short:
            folders = [short[name]]
        else:
            raise InputError(f"{asked_by} {name}: unknown cell or evaluation"
                             f"{nearest(name, [*plan.cell_ids, *short])}")  # fmt: skip
        for folder in folders:
            stage = plan.jobs[folder].stage
            if not subject.study.stages[stage].has_predictions:
                raise InputError(f"{asked_by} {name}: {stage} cannot be rerun; name an evaluation "
                                 "with predictions")  # fmt: skip
            path = folder / "record.json"
            if path not in subject.finished:
                raise InputError(f"{asked_by} {name}: no sound {path}; run the study first")
            found[path] = subject.finished[path]
    return list(found.values())


def check_again(
    subject: Subject, derived: Derived, jobs: Sequence[Job], moved: bool
) -> Iterator[Finding]:
    """Rerun each job and compare its predictions.

    Args:
        subject: the study.
        derived: its cells, whose intervals decide when bits and logits differ.
        jobs: the jobs to rerun.
        moved: True if code or environment changed, which may explain a difference.
    """
    if not jobs:
        return
    with tempfile.TemporaryDirectory(prefix="folk-again-") as folder:
        scratch = Scratch(subject.plan, Path(folder), jobs)
        problems = {job.path: scratch.run(job) for job in subject.chain.behind(jobs) if job in jobs}
        evidence = Evidence(subject.study, scratch.folder)
        wrong: Word = "stale" if moved else "tampered"
        wrong = "failed" if any(problems.values()) else wrong
        for job in jobs:
            if (problem := problems[job.path]) is not None:
                place, cells = job.path.as_posix(), subject.plan.cells(job.path)
                yield Finding("failed", place, f"run again it failed: {problem}", cells)
            else:
                yield _compared(subject, derived, job, scratch, evidence, wrong)


def rerun(
    job: Job,
    stage: Stage,
    paths: Mapping[str, Path],
    *,
    without: Sequence[str] = (),
    processes: int = 1,
    threads: int | None = None,
    moved: tuple[Path, Path] | None = None,
    elsewhere: bool = False,
) -> str | None:
    """Run the command of a record in a separate process; return the problem, if any.

    Args:
        job: whose command is run, with the inputs of its record.
        stage: its stage.
        paths: options and their new values, such as `--out`; the command must have them.
        without: options to leave out, with their values.
        processes: started by torchrun where there are several.
        threads: of each process; None for those of the command.
        moved: a folder, and the one that holds its files now, in all other options.
        elsewhere: another machine than the record's: variables set here count, not the record's.
    """
    try:
        options = options_of(job, stage)  # a record is not trusted
    except InputError as error:
        return f"not run: {error}"
    for option in paths:
        if option not in dict(options):
            return f"its command lacks {option}, so it was not run"
    arguments = ["-m", "folk", stage.name]
    for option, value in options:
        if option in paths:
            arguments += [option, str(paths[option])]
        elif option not in without:
            arguments += [option, value if moved is None else _moved(value, *moved)]
    if threads is not None:
        arguments += ["--threads", str(threads)]  # of two, the last one counts
    if processes > 1:
        arguments = ["-m", "folk.training.torchrun", "--standalone", "--local-addr", "127.0.0.1",
                     "--nproc-per-node", str(processes), *arguments]  # fmt: skip
    kept = job.record["environment"]["variables"]
    recorded = {name: kept[name] for name in ALLOWED_VARIABLES if name in kept}
    variables = os.environ | recorded
    if elsewhere:
        recorded.pop("CUDA_VISIBLE_DEVICES", None)
        variables = recorded | os.environ
    # An audit is no run to track, and torchrun counts its own processes.
    for name in ("MLFLOW_TRACKING_URI", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        variables.pop(name, None)
    done = subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return None if done.returncode == 0 else (lines[-1] if lines else f"status {done.returncode}")


def _moved(value: str, old: Path, new: Path) -> str:
    """Replace the folder at the start of an option's path."""
    name, equals, path = value.rpartition("=")
    inside = path.startswith(f"{old.as_posix()}/")
    return f"{name}{equals}{new / path.removeprefix(f'{old.as_posix()}/')}" if inside else value


def closeness(job: Job, out: Path) -> Closeness:
    """Compare the stored predictions of a job with those in the folder `out`."""
    names = [Path(o["path"]).name for o in job.outputs if o["name"].startswith("predictions")]
    found = {_closeness(job.path.parent / name, out / name) for name in names}
    return next((how for how in ("other", "allclose") if how in found), "bitwise")


def _compared(
    subject: Subject, derived: Derived, job: Job, scratch: Scratch, evidence: Evidence, wrong: Word
) -> Finding:
    place, cells = job.path.as_posix(), subject.plan.cells(job.path)
    found = closeness(job, scratch.at(job.path.parent))
    if found == "bitwise":
        return Finding("ok", place, "run again: predictions are the same bit by bit", cells, True)
    if found == "allclose":
        says = f"run again: the same classes, scores within {_RELATIVE:g} (allclose)"
        return Finding("ok", place, says, cells, remark=True)
    outside = []
    for cell in (derived.stored[name] for name in cells if name in derived.stored):
        try:
            line = _outside(cell, derive_cell(subject.study, evidence, derived.published, cell.id))
        except InputError as error:  # another of its files is damaged
            line = f"{cell.id}: {error}"
        outside += [] if line is None else [line]
    if not outside:
        says = "run again: other predictions, every cell's mean stays in its interval"
        return Finding("ok", place, says, cells, remark=True)
    return Finding(wrong, place, f"run again: {'; '.join(outside)}", cells)


def _closeness(one: Path, other: Path) -> Closeness:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if one.read_bytes() == other.read_bytes():
        return "bitwise"
    before, now = pq.read_table(one), pq.read_table(other)
    if before.schema != now.schema or before.num_rows != now.num_rows:
        return "other"
    for name in before.column_names:
        a, b = before[name].combine_chunks(), now[name].combine_chunks()
        if a.equals(b):
            continue
        while pa.types.is_nested(a.type):
            a, b = a.flatten(), b.flatten()
        if not pa.types.is_floating(a.type) or len(a) != len(b):
            return "other"
        if not np.allclose(a.to_numpy(), b.to_numpy(), rtol=_RELATIVE, atol=_ABSOLUTE):
            return "other"
    return "allclose"


def _outside(cell: Cell, now: Cell) -> str | None:
    """Return why a cell's mean leaves its interval with other predictions, or None."""
    if now.seed_values == cell.seed_values or cell.metric in OF_ONE_MACHINE:
        return None
    if now.value is None or cell.value is None:
        return f"{cell.id}: no number to compare ({now.note or cell.note})"
    moved = f"{cell.id}: {cell.metric} is {now.value:.6g}, was {cell.value:.6g}"
    if cell.low is None or cell.high is None:
        return f"{moved}, and one seed has no interval"
    inside = cell.low <= now.value <= cell.high
    return None if inside else f"{moved}, outside of {cell.low:.6g} to {cell.high:.6g}"
