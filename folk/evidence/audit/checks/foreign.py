"""Check for unknown files in the study's results."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.results.summaries import FOLDER, measured_files

# Shell patterns below the study's folder, except that `*` matches `/`: unrecorded files of the
# workflow. Logs and mirrors are allowed here and not verified. DVC writes `.gitignore` with the
# files that it stores.
PRODUCTS = (
    "study.yaml", "mlflow.db*",
    "seal.json", "seal.json.sig", "freeze.json", "freeze.json.*", "adopted.json", "export/*",
    "attestations/*.json",
    "*.log", "*benchmark.jsonl", "*.snakemake_timestamp", "work/*",
    "failed/*record-*.failed.json", "failed/*record-*.failed.diff", ".gitignore",
)  # fmt: skip
# Of a reader without a sound record, which is reported; else its record names them.
OF_READERS = {
    "report": (
        "cells.parquet", "claims.parquet", "claims.md", "assumptions.md", "report.html",
        "tables/*", "figures/*.svg",
    ),
    "track": ("tracked.json",),
}  # fmt: skip


def check_foreign(subject: Subject) -> Iterator[Finding]:
    """Report every file below the results that is in no record and no known product."""
    known = {Path(o["path"]) for job in subject.finished.values() for o in job.outputs}
    known |= {*subject.finished, *subject.failed, *subject.unsound}
    known |= {job.diff for job in subject.finished.values() if job.diff is not None}
    runs = {job.run for job in subject.plan.jobs.values() if job.seed is not None}
    runs |= measured_files(subject.results, subject.study.stages).keys()
    known |= {subject.results / FOLDER / f"{run}.json" for run in runs}
    absent = OF_READERS.keys() - {path.parent.name for path in subject.readers}
    of_readers = [pattern for stage in absent for pattern in OF_READERS[stage]]
    silent = {path.parent for path in subject.unsound}
    silent |= {folder for folder in subject.plan.jobs if folder / "record.json" not in known}
    silent |= {subject.results / stage for stage in absent}
    for path in _unknown(subject.results, known):
        if silent & set(path.parents):
            continue  # its record is missing or unsound, which is reported for the record
        place = path.relative_to(subject.results).as_posix() + "/" * path.is_dir()
        if not any(fnmatch.fnmatchcase(place, pattern) for pattern in (*PRODUCTS, *of_readers)):
            says = "no record and no product of the workflow is this file"
            yield Finding("foreign", path.as_posix(), says, _derived_from(subject, path))


def _unknown(results: Path, known: set[Path]) -> Iterator[Path]:
    """Yield every unknown file, sorted, and every link to a folder in which nothing is known."""
    used = {folder for path in known for folder in path.parents}
    folders = [results]
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and (not path.is_symlink() or path in used):
                folders.append(path)
            elif path not in known and (path.is_file() or path.is_symlink()):
                yield path


def _derived_from(subject: Subject, path: Path) -> tuple[str, ...]:
    """List the cells of an evaluation whose numbers are derived from a file of this name."""
    stage = subject.study.stages.get(path.relative_to(subject.results).parts[0])
    files = {metric.file for metric in stage.metrics.values()} if stage else set()
    return subject.plan.cells(path) if path.name in files else ()
