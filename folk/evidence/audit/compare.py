"""Comparison of two studies' results, cell by cell, with what explains each difference.

Two studies, two commits, or one study on two machines: each side is a folder of results, and needs
nothing but its records, cells and predictions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from folk.evidence.audit.chain import Job
from folk.evidence.audit.job_differences import differing_files, reasons
from folk.evidence.core.errors import InputError, brief
from folk.evidence.record.failures import record_paths
from folk.evidence.record.schema import read_record
from folk.evidence.results.cells import Cell, read_cells
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.evidence.results.metrics.intervals import difference_interval
from folk.evidence.study.stage import Stages

State = Literal["equal", "explained", "unexplained"]


@dataclass(frozen=True)
class Predictions:
    """Stored predictions behind a cell, of the jobs that both sides have."""

    jobs: int
    identical: int  # jobs whose files have the same bytes
    differ: int | None  # images of the other jobs with another prediction; None if unknown
    of: int | None  # images of the other jobs


@dataclass(frozen=True)
class ComparedCell:
    """A number that two studies have."""

    id: str
    state: State
    one: float | None
    other: float | None
    printed: tuple[str, str]
    difference: float | None  # other - one
    low: float | None  # 95 % Welch interval over seeds; None with a single seed
    high: float | None
    predictions: Predictions | None  # None for a metric that predictions do not tell
    why: list[str]  # reasons, makers before readers
    unexplained: list[str]  # what has other bytes or values without a reason


@dataclass(frozen=True)
class Comparison:
    """All cells of two studies."""

    cells: list[ComparedCell]
    only_one: list[str]  # ids of cells
    only_other: list[str]


class Results:
    """One side: the results folder of a study, such as `results/demo`."""

    def __init__(self, folder: Path) -> None:
        """Read cells and records.

        Raises:
            InputError: no such folder, unreadable cells, or an unreadable or edited record.
        """
        if not folder.is_dir():
            raise InputError(f"{folder}: not a folder; give a study's results, as results/demo")
        self.folder = folder
        self.cells = {c.id: c for c in read_cells(folder / "cells.parquet") if not c.quoted}
        self._jobs = {}
        for path in record_paths(folder):
            job = Job(path, read_record(path))
            if job.edited is not None:
                raise InputError(f"{job.edited}; run `folk verify` for details")
            self._jobs[job.id] = job

    def job(self, record_id: str | None) -> Job:
        """Find the job of a record.

        Raises:
            InputError: it is not among the results.
        """
        if record_id not in self._jobs:
            raise InputError(
                f"{self.folder}: missing record {str(record_id)[:12]}, on which a cell rests; run "
                "`folk verify` for details"
            )
        return self._jobs[record_id]

    def place(self, job: Job) -> str:
        """Folder of a job's results, such as `finetune/folk-s0/full`."""
        return job.path.parent.relative_to(self.folder).as_posix()

    def makers(self, job: Job) -> list[str]:
        """Places of the jobs whose results a job read."""
        return sorted(self.place(self.job(parent)) for parent in job.record["parents"])

    def behind(self, cell: Cell) -> dict[str, Job]:
        """Return the jobs that a cell rests on by place, makers before readers."""
        found: dict[str, Job] = {}

        def visit(record_id: str | None) -> None:
            job = self.job(record_id)
            if self.place(job) not in found:
                for parent in job.record["parents"]:
                    visit(parent)
                found[self.place(job)] = job

        for record_id in cell.parent_ids:
            visit(record_id)
        return found

    @cached_property
    def made_by(self) -> dict[str, list[str]]:
        """Commits, hosts and processors of the jobs, for a heading."""
        records = [job.record for job in self._jobs.values()]
        return {
            "commits": sorted({str(record["code"]["commit"]) for record in records}),
            "hosts": sorted({record["hardware"]["host"] for record in records}),
            "processors": sorted({str(record["hardware"]["cpu"]) for record in records}),
        }


def compare(one: Results, other: Results, stages: Stages) -> Comparison:
    """Compare the cells that both sides have.

    Raises:
        InputError: a record that a cell rests on is missing.
    """
    comparer = _Comparer(one, other, stages)
    return Comparison(
        [comparer.cell(cell, other.cells[name]) for name, cell in one.cells.items()
         if name in other.cells],
        [name for name in one.cells if name not in other.cells],
        [name for name in other.cells if name not in one.cells],
    )  # fmt: skip


class _Comparer:
    def __init__(self, one: Results, other: Results, stages: Stages) -> None:
        self._one, self._other, self._stages = one, other, stages
        self._known: dict[tuple[str, str], tuple[list[str], list[str]]] = {}

    def cell(self, one: Cell, other: Cell) -> ComparedCell:
        first, second = self._one.behind(one), self._other.behind(other)
        pairs = {place: (first[place], second[place]) for place in first if place in second}
        why, unexplained, changed = list(self._asked(one, other)), [], set()
        for place, (a, b) in pairs.items():
            files, found = self._jobs(a, b)
            if files:
                changed.add(place)
                why += [*found, *_manifests(place, a, b)]
                if not found and changed.isdisjoint(self._one.makers(a)):
                    unexplained.append(f"{place}: other bytes: {', '.join(files)}")
        moved = one.seed_values != other.seed_values
        if moved and one.metric in OF_ONE_MACHINE:
            why.append(f"{one.metric} measures the machine and its load")
        elif moved and not changed and not why:  # nothing stored tells the number, as a best epoch
            own = [pair for pair in pairs.values() if pair[0].id in one.parent_ids]
            why += [line for pair in own for line in self._jobs(*pair)[1]]
            unexplained += [] if why else [f"{one.metric}: other values, as the metrics.json have"]
        state: State = "explained" if moved or changed or why else "equal"
        span = difference_interval(other.run_values, one.run_values)
        gap = None if one.value is None or other.value is None else other.value - one.value
        return ComparedCell(
            id=one.id,
            state="unexplained" if unexplained else state,
            one=one.value,
            other=other.value,
            printed=(one.printed, other.printed),
            difference=gap,
            low=None if span is None or gap is None else span.low,
            high=None if span is None or gap is None else span.high,
            predictions=self._predictions(one, pairs, set(one.parent_ids)),
            why=list(dict.fromkeys(why)),
            unexplained=unexplained,
        )

    def _asked(self, one: Cell, other: Cell) -> Iterator[str]:
        """Yield what the studies ask for differently, and why a number is missing."""
        for what in ("seeds", "finetune_seeds", "formula"):
            first, second = getattr(one, what), getattr(other, what)
            if first != second:
                yield f"{what.replace('_', ' ')}: {_listed(first)} -> {_listed(second)}"
        for side, cell in ((self._one, one), (self._other, other)):
            if cell.value is None and (one.value, other.value) != (None, None):
                yield f"no number in {side.folder}: {cell.note}"

    def _jobs(self, one: Job, other: Job) -> tuple[list[str], list[str]]:
        """Name the files of two jobs that differ, and the reasons of their own for it."""
        key = (one.id, other.id)
        if key not in self._known:
            found = reasons(one.record, other.record)
            first, second = self._one.makers(one), self._other.makers(other)
            if first != second:
                stage = one.record["stage"]
                found.append(f"{stage}: reads: {_listed(first)} -> {_listed(second)}")
            self._known[key] = differing_files(one.record, other.record), found
        return self._known[key]

    def _predictions(
        self, cell: Cell, pairs: Mapping[str, tuple[Job, Job]], read: set[str | None]
    ) -> Predictions | None:
        identical, counts = 0, []
        for one, other in pairs.values():
            metric = self._stages[one.record["stage"]].metric(cell.metric)
            if one.id not in read or metric is None:
                continue
            if _digest(one, metric.file) == _digest(other, metric.file):
                identical += 1
            else:
                files = (job.path.with_name(metric.file) for job in (one, other))
                counts.append(_changed_predictions(*files))
        if not identical and not counts:
            return None
        known = [count for count in counts if count is not None]
        whole = len(known) == len(counts)
        return Predictions(
            jobs=identical + len(counts),
            identical=identical,
            differ=sum(differ for differ, _ in known) if whole else None,
            of=sum(images for _, images in known) if whole else None,
        )


def _digest(job: Job, file: str) -> str | None:
    return next((o["sha256"] for o in job.outputs if Path(o["path"]).name == file), None)


def _manifests(place: str, one: Job, other: Job) -> Iterator[str]:
    first, second = _digest(one, "manifest.parquet"), _digest(other, "manifest.parquet")
    if first != second:
        yield f"{place}: manifest of the images: {str(first)[:12]} -> {str(second)[:12]}"


def _changed_predictions(one: Path, other: Path) -> tuple[int, int] | None:
    """Count images with another best class or confusion, of all; None for other images or files."""
    import numpy as np
    import pyarrow.compute as pc

    from folk.evidence.results.metrics.columns import numbers

    first, second = _table(one), _table(other)
    if first is None or second is None:
        return None
    if not first.schema.equals(second.schema, check_metadata=True):
        return None
    keys = [name for name in ("variant", "key") if name in first.column_names]
    if not first.select(keys).equals(second.select(keys)):
        return None
    if "predicted" in first.column_names:
        changed = np.not_equal(*(numbers(table["predicted"]) for table in (first, second)))
    elif "top5" in first.column_names:
        best = (numbers(pc.list_element(table["top5"], 0)) for table in (first, second))
        changed = np.not_equal(*best)
    else:
        rows = (
            numbers(table["confusion"].combine_chunks().flatten()).reshape(len(table), -1)
            for table in (first, second)
        )
        changed = np.not_equal(*rows).any(axis=1)
    return int(changed.sum()), len(changed)


def _table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Not `read_table`: it imports pandas.
        return pq.ParquetFile(path).read() if path.is_file() else None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: invalid predictions: {brief(error)}") from error


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
