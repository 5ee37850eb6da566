"""Places of records in a study's results, and storage of those of failed and interrupted jobs.

A work folder may be deleted at any time, but these records must be kept. So they are in
`<results>/failed`, under the same relative path as the job's growing state in `<results>/work`.
Each job writes its own files there, so jobs may run in parallel.
"""

from pathlib import Path
from typing import Any

FAILED, WORK = "failed", "work"
PATTERN = "record-*.failed.json"
# Jobs that read all other records; no number rests on theirs, and they do not read each other's.
READERS = ("report", "track")

_DEPTH = 3  # of a job's folder: stage, run and evaluation


def record_paths(results: Path) -> list[Path]:
    """List the records of finished jobs of one study, sorted; without those of `READERS`."""
    found = _below(results, "record.json")
    others = {WORK, *READERS}
    return sorted(
        path
        for path in found
        if path.parent != results and path.relative_to(results).parts[0] not in others
    )


def reader_paths(results: Path) -> list[Path]:
    """List the records of `READERS` that have finished."""
    places = [results / stage / "record.json" for stage in READERS]
    return [path for path in places if path.is_file()]


def failed_paths(results: Path, place: Path | None = None) -> list[Path]:
    """List the records of failed and interrupted jobs of one study, sorted.

    Args:
        place: folder of one job, below `results`; None for all jobs but `READERS`.
    """
    failed = results / FAILED
    if place is not None:
        return sorted(failed.glob(f"{place.as_posix()}/{PATTERN}"))
    found = _below(failed, PATTERN)
    return sorted(path for path in found if path.relative_to(failed).parts[0] not in READERS)


def failed_folder(work: Path, fields: dict[str, Any]) -> Path:
    """Return the folder for the record of a failure; next to the state for a job started by hand.

    Args:
        fields: fields of its record; stage, run and evaluation are read.
    """
    return _swapped(work, fields, WORK, FAILED)


def work_folder(failed: Path, fields: dict[str, Any]) -> Path:
    """Return the folder of growing state of the job whose failure is recorded in `failed`."""
    return _swapped(failed, fields, FAILED, WORK)


def _below(folder: Path, pattern: str) -> set[Path]:
    """Find files at any depth, and in folders of jobs that are links to folders elsewhere."""
    found = set(folder.glob(f"**/{pattern}"))
    # `**` enters no link, `*` does. A link into the folder itself leads to what is found already.
    depths = range(1, _DEPTH + 1)
    linked = {path for depth in depths for path in folder.glob("*/" * depth + pattern)} - found
    here = folder.resolve()
    return found | {path for path in linked if not path.resolve().is_relative_to(here)}


def _swapped(folder: Path, fields: dict[str, Any], old: str, new: str) -> Path:
    place = [fields[key] for key in ("stage", "run", "evaluation") if fields[key]]
    tail = Path(old, *place).parts
    if folder.parts[-len(tail) :] != tail:
        return folder
    return Path(*folder.parts[: -len(tail)], new, *place)
