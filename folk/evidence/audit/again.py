"""Rerun of an evaluation from its checkpoint, and comparison of its predictions.

The job runs in a separate process, with the command of its record, so that this module needs none
of its packages.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from folk.evidence.audit.chain import Job
from folk.evidence.audit.checks.cells import Derived
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.record.environment import ALLOWED_VARIABLES
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import read_metrics, recompute

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # of logits; the order of sums depends on the machine


def evaluations_of(subject: Subject, names: Sequence[str]) -> list[Job]:
    """Find the jobs of cells (table/row/column) or evaluations (run/evaluation).

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
            raise InputError(f"--deep {name}: unknown cell or evaluation"
                             f"{nearest(name, [*plan.cell_ids, *short])}")  # fmt: skip
        for folder in folders:
            stage = plan.jobs[folder].stage
            if not subject.study.stages[stage].has_predictions:
                raise InputError(f"--deep {name}: {stage} cannot be rerun; name an evaluation "
                                 "with predictions")  # fmt: skip
            path = folder / "record.json"
            if path not in subject.finished:
                raise InputError(f"--deep {name}: no sound {path}; run the study first")
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
    for job in jobs:
        with tempfile.TemporaryDirectory(prefix="folk-again-") as folder:
            out = Path(folder) / "out"
            problem = rerun(job, {"--out": out, "--work": Path(folder) / "work"})
            place = job.path.as_posix()
            if problem is not None:
                says = f"run again it failed: {problem}"
                yield Finding("failed", place, says, subject.plan.cells(job.path))
                continue
            yield _compared(subject, derived, job, out, moved)


def rerun(
    job: Job,
    paths: Mapping[str, Path],
    *,
    without: Sequence[str] = (),
    processes: int = 1,
    threads: int | None = None,
) -> str | None:
    """Run the command of a record in a separate process; return the problem, if any.

    Args:
        job: whose command is run.
        paths: options and their new values, such as `--out`; the command must have them.
        without: options to leave out, with their values.
        processes: started by torchrun where there are several.
        threads: of each process; None for those of the command.
    """
    arguments = list(job.record["argv"][1:])
    # A record is not trusted: only a command of one of our stages is run.
    if arguments[:3] != ["-m", "folk", job.record["stage"]]:
        return f"not run: its command is not `python -m folk {job.record['stage']} ...`"
    for option in without:
        while option in arguments[:-1]:
            at = arguments.index(option)
            del arguments[at : at + 2]
    for option, path in paths.items():
        if option not in arguments[:-1]:
            return f"its command lacks {option}, so it was not run"
        arguments[arguments.index(option) + 1] = str(path)
    if threads is not None:
        arguments += ["--threads", str(threads)]  # of two, the last one counts
    if processes > 1:
        arguments = ["-m", "folk.training.torchrun", "--standalone", "--local-addr", "127.0.0.1",
                     "--nproc-per-node", str(processes), *arguments]  # fmt: skip
    kept = job.record["environment"]["variables"]
    variables = os.environ | {name: kept[name] for name in ALLOWED_VARIABLES if name in kept}
    # An audit is no run to track, and torchrun counts its own processes.
    for name in ("MLFLOW_TRACKING_URI", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        variables.pop(name, None)
    done = subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return None if done.returncode == 0 else (lines[-1] if lines else f"status {done.returncode}")


def _compared(subject: Subject, derived: Derived, job: Job, out: Path, moved: bool) -> Finding:
    place, cells = job.path.as_posix(), subject.plan.cells(job.path)
    names = [Path(o["path"]).name for o in job.outputs if o["name"].startswith("predictions")]
    closeness = [_closeness(job.path.parent / name, out / name) for name in sorted(names)]
    if all(found == "bitwise" for found in closeness):
        return Finding("ok", place, "run again: predictions are the same bit by bit", cells, True)
    if all(found in ("bitwise", "allclose") for found in closeness):
        says = f"run again: the same classes, scores within {_RELATIVE:g} (allclose)"
        return Finding("ok", place, says, cells, remark=True)
    lines = [
        _within(derived.stored[cell], subject, job, out) for cell in cells if cell in derived.stored
    ]
    outside = [line for line in lines if line is not None]
    if not outside:
        says = "run again: other predictions, every cell's mean stays in its interval"
        return Finding("ok", place, says, cells, remark=True)
    word: Word = "stale" if moved else "tampered"
    return Finding(word, place, f"run again: {'; '.join(outside)}", cells)


def _closeness(one: Path, other: Path) -> str:
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


def _within(cell: Cell, subject: Subject, job: Job, out: Path) -> str | None:
    """Return why a cell's mean leaves its interval with the new predictions, or None."""
    column = subject.study.tables[cell.table].columns[cell.column]
    if job.record["evaluation"] not in column.evaluations:
        return None  # it affects this cell through another evaluation
    before = read_metrics(job.path.parent / "metrics.json")[column.metric]
    now = recompute(subject.study.stages[job.record["stage"]], out, column.metric)
    if now is None:
        now = read_metrics(out / "metrics.json")[column.metric]
    if now == before:
        return None
    moved = f"{column.metric} is {now:.6g}, was {before:.6g}"
    if cell.value is None or cell.low is None or cell.high is None:
        return f"{cell.id}: {moved}, and one seed has no interval"
    # An upper bound on the change of the run's number; with `max` over evaluations it may be less.
    rounds = subject.study.rounds(column)
    share = len(column.evaluations) if column.combine == "mean" else len(rounds)
    mean = cell.value + (now - before) * (100 if column.percent else 1) / share / cell.n
    inside = cell.low <= mean <= cell.high
    return None if inside else f"{cell.id}: {moved}, outside of {cell.low:.6g} to {cell.high:.6g}"
