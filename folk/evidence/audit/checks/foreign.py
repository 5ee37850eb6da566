"""Check for unknown files in the study's results."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.record.failures import READERS

# Shell patterns below the study's folder, except that `*` matches `/`: unrecorded files of the
# workflow. Logs and mirrors are allowed here and not verified. DVC writes `.gitignore` with the
# files that it stores.
PRODUCTS = (
    "study.yaml", "metrics/*-s[0-9]*.json", "mlflow.db*",
    "seal.json", "seal.json.sig", "adopted.json", "export/*",
    "*.log", "*benchmark.jsonl", "*.snakemake_timestamp", "work/*",
    "failed/*record-*.failed.json", "failed/*record-*.failed.diff", ".gitignore",
)  # fmt: skip
# Without the record that names them, which is reported as missing.
OF_READERS = (
    "cells.parquet", "claims.parquet", "claims.md", "assumptions.md", "report.html",
    "tables/*", "figures/*.svg", "tracked.json",
)  # fmt: skip


def check_foreign(subject: Subject) -> Iterator[Finding]:
    """Report every file below the results that is in no record and no known product."""
    known = {Path(o["path"]) for job in subject.finished.values() for o in job.outputs}
    known |= {*subject.finished, *subject.failed, *subject.unreadable}
    known |= {job.diff for job in subject.finished.values() if job.diff is not None}
    patterns = PRODUCTS if len(subject.readers) == len(READERS) else (*PRODUCTS, *OF_READERS)
    # The first star follows links: a stage's folder may be on another disk.
    places = {*subject.results.glob("*"), *subject.results.glob("*/**/*")}
    for path in sorted(places):
        if path in known or not path.is_file():
            continue
        place = path.relative_to(subject.results).as_posix()
        owner = subject.plan.owner(path)
        if owner is not None and owner / "record.json" not in subject.finished:
            continue  # its record is missing or unreadable, which is reported for the record
        if not any(fnmatch.fnmatchcase(place, pattern) for pattern in patterns):
            says = "no record and no product of the workflow is this file"
            yield Finding("foreign", path.as_posix(), says, _derived_from(subject, path))


def _derived_from(subject: Subject, path: Path) -> tuple[str, ...]:
    """List the cells of an evaluation whose numbers are derived from a file of this name."""
    stage = subject.study.stages.get(path.relative_to(subject.results).parts[0])
    files = {metric.file for metric in stage.metrics.values()} if stage else set()
    return subject.plan.cells(path) if path.name in files else ()
