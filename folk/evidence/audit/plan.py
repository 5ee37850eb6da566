"""Jobs of a study file, their inputs, and the cells that depend on them.

All of it follows from the study file alone, independently of records.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from folk.evidence.record.failures import FAILED
from folk.evidence.study.study import Evaluation, Study, run_name

Start = Literal["evaluation", "pretrain"]  # from where a cell's jobs are run again


@dataclass(frozen=True)
class Planned:
    """One job of a study; folders are relative to the repository."""

    stage: str
    entry: str  # of the study file: a data set, a split, a row or an evaluation
    run: str
    seed: int | None
    finetune_seed: int | None
    folder: Path
    reads: tuple[Path, ...]  # folders of the jobs whose files it reads


class Plan:
    """The jobs of a study, by folder."""

    def __init__(self, study: Study, results: Path) -> None:
        self.study = study
        self.results = results
        self.jobs = {job.folder: job for job in planned_jobs(study, results)}
        self._direct = _direct(study, results)
        self._order = {cell: index for index, cell in enumerate(self._direct)}
        self._cells = self._reached()

    @property
    def cell_ids(self) -> list[str]:
        """List every cell of every table, in the order of the study."""
        return list(self._direct)

    def folders_of(self, cell: str) -> list[Path]:
        """List the folders of the jobs that a cell is computed from, and of their dependencies."""
        found: dict[Path, None] = {}

        def visit(folder: Path) -> None:
            if folder in self.jobs and folder not in found:
                found[folder] = None
                for below in self.jobs[folder].reads:
                    visit(below)

        for folder in self._direct[cell]:
            visit(folder)
        return list(found)

    def evaluations_of(self, cell: str) -> list[Path]:
        """List the folders of the evaluations that a cell is computed from."""
        return [folder for folder in self._direct[cell] if folder in self.jobs]

    def owner(self, path: Path) -> Path | None:
        """Find the job's folder that a path below the results belongs to."""
        here = self.without_failed(path)
        return next((folder for folder in (here, *here.parents) if folder in self.jobs), None)

    def without_failed(self, path: Path) -> Path:
        """Convert a place in the folder of failures to that of the job's results."""
        failed = self.results / FAILED
        return self.results / path.relative_to(failed) if path.is_relative_to(failed) else path

    def cells(self, *paths: Path) -> tuple[str, ...]:
        """List the cells that depend on the jobs of these files or folders."""
        owners = {self.owner(path) for path in paths}
        reached = {cell for owner in owners if owner for cell in self._cells.get(owner, ())}
        return tuple(sorted(reached, key=self._order.__getitem__))

    def printed_in(self, path: Path) -> tuple[str, ...]:
        """List the cells of the table that a file of the report prints.

        Others have none: cells.parquet is compared by cell, and which number of a page was edited
        is not known.
        """
        tables = self.results / "tables"
        return tuple(c for c in self.cell_ids if path.with_suffix("") == tables / c.split("/")[0])

    def _reached(self) -> dict[Path, set[str]]:
        reached: dict[Path, set[str]] = {}
        for cell in self._direct:
            for folder in self.folders_of(cell):
                reached.setdefault(folder, set()).add(cell)
        return reached


def folder_of(results: Path, record: Mapping[str, Any]) -> Path:
    """Return the results folder of a record's job, by stage, run and evaluation."""
    parts = (record["stage"], record["run"], record["evaluation"])
    return results.joinpath(*filter(None, parts))


def planned_jobs(study: Study, results: Path) -> Iterator[Planned]:
    """Yield every job of a study but those that read all records."""
    for stage, name, entry in study.entries():
        inputs = study.stages[stage].inputs
        for run, seed in _runs(study, stage, name):
            places = [place for given in inputs for place in given.places(study, run, entry)]
            evaluation = name if isinstance(entry, Evaluation) else None
            yield Planned(
                stage,
                name,
                run,
                seed,
                entry.finetune_seed if isinstance(entry, Evaluation) else None,
                results.joinpath(*filter(None, (stage, run, evaluation))),
                tuple((results / place).parent for place in places),
            )


def _runs(study: Study, stage: str, name: str) -> Iterator[tuple[str, int | None]]:
    """Yield name and seed of each job of an entry."""
    if not study.stages[stage].of_runs:
        yield name, None
        return
    rows = study.rows_of(name) if study.stages[stage].is_evaluation else [name]
    yield from ((run, seed) for run, row, seed in study.runs() if row in rows)


def _direct(study: Study, results: Path) -> dict[str, list[Path]]:
    """Map each cell to the folders of the evaluations that it is computed from."""
    return {
        cell: [
            results / study.evaluations[name].stage / run_name(row, seed) / name
            for row in [cell.split("/")[1]]
            for seed in study.encoders[row].seeds
            for name in column.evaluations
        ]
        for cell, column in study.cells().items()
    }
