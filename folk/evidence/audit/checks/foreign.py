"""Files in the study's results that nothing of the study accounts for."""

import fnmatch
from collections.abc import Iterator
from pathlib import Path

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject

# Patterns from the study's folder, as shells read them but that `*` reaches into folders: what the
# workflow leaves without a record. Logs and mirrors are named here and not verified. DVC writes
# `.gitignore`, which names what it stores.
PRODUCTS = (
    "study.yaml", "cells.parquet", "claims.parquet", "claims.md", "assumptions.md", "report.html",
    "figures/*.svg", "metrics/*-s[0-9]*.json",
    "tracked.json", "mlflow.db*", "seal.json", "seal.json.sig", "adopted.json", "export/*",
    "*.log", "*benchmark.jsonl", "*.snakemake_timestamp", "work/*",
    "failed/*record-*.failed.json", "failed/*record-*.failed.diff", ".gitignore",
)  # fmt: skip


def check_foreign(subject: Subject) -> Iterator[Finding]:
    """Every file below the results that no record and no known product names."""
    known = {Path(o["path"]) for job in subject.finished.values() for o in job.outputs}
    known |= {*subject.finished, *subject.failed, *subject.unreadable}
    known |= {job.diff for job in subject.finished.values() if job.diff is not None}
    forms = ("md", "tex", "csv")
    known |= {subject.results / f"tables/{t}.{f}" for t in subject.study.tables for f in forms}
    for path in sorted(subject.results.rglob("*")):
        if path in known or not path.is_file():
            continue
        place = path.relative_to(subject.results).as_posix()
        owner = subject.plan.owner(path)
        if owner is not None and owner / "record.json" not in subject.finished:
            continue  # its record is missing or unreadable, which is said of the record
        if not any(fnmatch.fnmatchcase(place, pattern) for pattern in PRODUCTS):
            says = "no record and no product of the workflow is this file"
            yield Finding("foreign", path.as_posix(), says)
