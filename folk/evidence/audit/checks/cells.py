"""Check of cells.parquet against results, study and published numbers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from folk.evidence.audit.checks.files import FilesRead
from folk.evidence.audit.checks.records import made_since
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError
from folk.evidence.core.numbers import alike
from folk.evidence.results.cells import Cell, derive_cells, read_cells
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.published import Published, load_published, numbers_file
from folk.evidence.results.stored import OtherColumnsError

CELLS_NAME = "cells.parquet"
# Fields of a cell from the study file, and from the published numbers, independent of results.
_OF_STUDY = ("unit", "metric", "formula", "published_id")
_OF_RUNS = ("seeds", "finetune_seeds")  # from the study file too, where no run is missing
_OF_PUBLISHED = ("published_value", "published_printed", "published_certainty", "published_margin")


@dataclass
class Derived:
    """Stored and recomputed cells, and their problems."""

    published: Published
    evidence: Evidence
    stored: dict[str, Cell] = field(default_factory=dict)
    today: dict[str, Cell] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)  # cells that cannot be recomputed
    findings: list[Finding] = field(default_factory=list)


def check_cells(subject: Subject, accused: set[str], files: FilesRead) -> Derived:
    """Recompute every cell from predictions and metrics, and compare it with the stored one.

    Args:
        subject: the study.
        accused: cells with findings on their records or files; consequences for cells.parquet are
            not reported again.
        files: the study's files, which show whether cells.parquet is as its record says.
    """
    evidence = Evidence(subject.study, subject.results)
    derived = Derived(load_published(subject.published), evidence)
    for cell, result in derive_cells(subject.study, evidence, derived.published):
        if isinstance(result, Cell):
            derived.today[cell] = result
        else:
            derived.broken[cell] = str(result)
    for cell in set(derived.broken) - accused:
        if subject.names_unsound(derived.broken[cell]):
            continue  # of a row whose cost is measured
        if cell in subject.plan.cell_ids:
            place = subject.plan.folders_of(cell)[0].as_posix()
            derived.findings.append(Finding("tampered", place, derived.broken[cell], (cell,)))
        else:  # quoted
            place = numbers_file(subject.published).as_posix()
            derived.findings.append(Finding("stale", place, derived.broken[cell], (cell,)))
    path = subject.results / CELLS_NAME
    edited = path.as_posix() in {finding.place for finding in files.findings}
    if path.is_file():
        derived.stored, unreadable = _stored(subject, path, edited)
        if unreadable is not None:
            derived.findings.append(unreadable)
        else:
            derived.findings += _compared(subject, derived, path.as_posix(), accused, edited)
    elif edited:  # else no report was made, which is reported for its record
        every = tuple(subject.plan.cell_ids)
        derived.findings.append(Finding("missing", path.as_posix(), "run `report`", every))
    return derived


def _stored(subject: Subject, path: Path, edited: bool) -> tuple[dict[str, Cell], Finding | None]:
    every = tuple(subject.plan.cell_ids)
    try:
        return {cell.id: cell for cell in read_cells(path)}, None
    except OtherColumnsError as error:
        word: Word = "tampered" if edited else "stale"
        return {}, Finding(word, path.as_posix(), str(error), every)
    except InputError as error:
        return {}, Finding("tampered", path.as_posix(), str(error), every)


def _compared(
    subject: Subject, derived: Derived, place: str, accused: set[str], edited: bool
) -> Iterator[Finding]:
    of_others: Word = "tampered" if edited else "stale"
    study_path = place if edited else subject.study_path.as_posix()
    published = place if edited else numbers_file(subject.published).as_posix()
    wanted = [*derived.today, *derived.broken]
    for cell in sorted(set(derived.stored) - set(wanted)):
        yield Finding(of_others, study_path, f"{place} has a cell '{cell}', the study has none")
    for cell in wanted:
        if cell not in derived.stored:
            says = f"the study has a cell '{cell}', {place} has none"
            yield Finding(of_others, study_path, says, (cell,))
        elif cell in derived.today:
            before, now = asdict(derived.stored[cell]), asdict(derived.today[cell])
            differ = [key for key in now if not alike(before[key], now[key])]
            if not differ:
                continue
            says = f"{cell}: {_shown(differ, before, now)}"
            of_study = _OF_STUDY if cell in accused else (*_OF_STUDY, *_OF_RUNS)
            since = f"changed after the cells were made: {says}"
            if any(key in of_study for key in differ):
                yield Finding(of_others, study_path, since, (cell,))
            elif any(key in _OF_PUBLISHED for key in differ):
                yield Finding(of_others, published, since, (cell,))
            elif cell not in accused:
                yield _other(subject, place, says, cell, before, now)


def _other(
    subject: Subject, place: str, says: str, cell: str, before: dict[str, Any], now: dict[str, Any]
) -> Finding:
    """Judge a stored cell that differs without a finding on its inputs."""
    ids = dict(zip(before["parents"], before["parent_ids"], strict=True))
    moved = [
        Path(path)
        for path, found in zip(now["parents"], now["parent_ids"], strict=True)
        if path in ids and ids[path] != found
    ]
    if not moved:
        return Finding("tampered", place, says, (cell,))
    others = [job for path, job in subject.planned.items() if path not in moved]
    for path in moved:
        job = subject.finished.get(path)
        if job is None or not made_since(job, others):
            says = f"{place} was made from another record than the current one: {says}"
            return Finding("tampered", path.as_posix(), says, (cell,))
    return Finding("stale", place, f"its evaluations were made again since: {says}", (cell,))


def _shown(keys: list[str], before: dict[str, Any], now: dict[str, Any]) -> str:
    """Show the most informative difference, preferably a printed one."""
    printed = [key for key in keys if key.startswith(("printed", "published_printed"))]
    key = (printed or keys)[0]
    return f"{key} is stored as {before[key]!r}, recomputed as {now[key]!r}"
