"""Where the records of jobs that failed or were interrupted are kept.

A work folder may be deleted at any time, and evidence must not go with it. So these records stand
in `<results>/failed`, in the same place below it as the job's growing state below
`<results>/work`. Each job writes files of its own there, so many may do it at once.
"""

from pathlib import Path
from typing import Any

FAILED, WORK = "failed", "work"
PATTERN = "record-*.failed.json"


def failed_paths(results: Path, place: Path | None = None) -> list[Path]:
    """Every record of a failed or interrupted job of one study, sorted.

    Args:
        results: the study's own folder, such as `results/demo`.
        place: of one job, below `results`; those of all jobs when left out.
    """
    return sorted((results / FAILED).glob(f"{place.as_posix() if place else '**'}/{PATTERN}"))


def failed_folder(work: Path, fields: dict[str, Any]) -> Path:
    """Where the record of a failure goes; beside the state of a job that was started by hand.

    Args:
        work: the job's folder of growing state.
        fields: of its record; stage, run and evaluation are read.
    """
    return _swapped(work, fields, WORK, FAILED)


def work_folder(failed: Path, fields: dict[str, Any]) -> Path:
    """The folder of growing state of the job whose failure is recorded in the folder `failed`."""
    return _swapped(failed, fields, FAILED, WORK)


def _swapped(folder: Path, fields: dict[str, Any], old: str, new: str) -> Path:
    place = [fields[key] for key in ("stage", "run", "evaluation") if fields[key]]
    tail = Path(old, *place).parts
    if folder.parts[-len(tail) :] != tail:
        return folder
    return Path(*folder.parts[: -len(tail)], new, *place)
