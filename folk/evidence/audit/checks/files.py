"""Check of every file against the digest in its record."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import Job
from folk.evidence.audit.file_states import held_elsewhere
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import sha256_of_all
from folk.evidence.record.lineage import is_by_value

SMALL_BYTES = 2**20  # files up to this size are read even in a sample


@dataclass(frozen=True)
class Sample:
    """Number of large files to read, and the seed that chooses them."""

    count: int
    seed: int


@dataclass(frozen=True)
class FilesRead:
    """Result of reading the files."""

    findings: list[Finding]
    good: frozenset[Path]  # files that match their record
    sha256: dict[Path, str | None]  # of every file that was read; None if that failed
    bytes_read: int
    not_read: tuple[str, ...]
    elsewhere: dict[str, str]  # sha256 that each file must have which git does not hold


@dataclass(frozen=True)
class _Expected:
    """Recorded size and digest of a file; `outside` if no job of the study made it."""

    size: int
    sha256: str
    says: str  # the record and its role
    cells: tuple[str, ...]
    outside: bool


def check_files(subject: Subject, sample: Sample | None) -> FilesRead:
    """Read every recorded file once, and compare size and sha256."""
    expected = dict(_expected(subject))
    findings: list[Finding] = []
    to_read: dict[Path, int] = {}
    elsewhere: dict[str, str] = {}
    is_elsewhere = held_elsewhere(subject.results)
    for path, recorded in expected.items():
        if not path.is_file():
            # A study in git leaves out large files of its jobs, nothing that is printed.
            if is_elsewhere(path) and path.as_posix() not in subject.printed:
                elsewhere[path.as_posix()] = recorded.sha256
            else:
                findings.append(_missing(path, recorded))
            continue
        size = path.stat().st_size
        if size == recorded.size:
            to_read[path] = size
        else:
            findings.append(_other(path, recorded, f"{size} bytes, {recorded.size} were recorded"))
    skipped = _skipped(to_read, sample)
    found = sha256_of_all(path for path in to_read if path not in skipped)
    for path, sha256 in found.items():
        if sha256 is None:
            cells = expected[path].cells
            findings.append(Finding("missing", path.as_posix(), "it cannot be read", cells))
        elif sha256 != expected[path].sha256:
            recorded = expected[path]
            says = f"its sha256 is {sha256[:12]}, {recorded.sha256[:12]} was recorded"
            findings.append(_other(path, recorded, says))
    accused = {finding.place for finding in findings}
    return FilesRead(
        findings,
        frozenset(path for path in found if path.as_posix() not in accused),
        found,
        sum(to_read[path] for path in found),
        tuple(sorted(path.as_posix() for path in skipped)),
        elsewhere,
    )


def _expected(subject: Subject) -> Iterator[tuple[Path, _Expected]]:
    for (path, sha256), readers in readings(subject).items():
        job, entry = readers[-1]
        cells = subject.plan.cells(*(reader.path for reader, _ in readers))
        outside = entry["record"] is None and subject.results not in path.parents
        says = f"{job.path} read it"
        yield path, _Expected(entry["size"], sha256, says, cells, outside)
    # The maker's record comes last, and so takes precedence over readers.
    for job in subject.finished.values():
        cells = subject.plan.cells(job.path)
        for output in job.outputs:
            if job.path in subject.readers:
                cells = subject.plan.printed_in(Path(output["path"]))
            recorded = (output["size"], output["sha256"], f"{job.path} made it", cells, False)
            yield Path(output["path"]), _Expected(*recorded)


def readings(subject: Subject) -> dict[tuple[Path, str], list[tuple[Job, dict[str, Any]]]]:
    """Map path and sha256 of every file that jobs read to these jobs and their entries."""
    found: dict[tuple[Path, str], list[tuple[Job, dict[str, Any]]]] = {}
    for job in subject.finished.values():
        for entry in job.inputs:
            if entry["sha256"] is not None and not is_by_value(entry["name"]):
                found.setdefault((Path(entry["path"]), entry["sha256"]), []).append((job, entry))
    return found


def _missing(path: Path, recorded: _Expected) -> Finding:
    says = f"not there; {recorded.says}"
    if recorded.outside:
        # Archives of a hundred gigabytes are often not available to an auditor.
        return Finding(
            "missing", path.as_posix(), f"{says}, not checked", recorded.cells, remark=True
        )
    return Finding("missing", path.as_posix(), says, recorded.cells)


def _other(path: Path, recorded: _Expected, says: str) -> Finding:
    word: Word = "stale" if recorded.outside else "tampered"
    return Finding(word, path.as_posix(), f"{says}; {recorded.says}", recorded.cells)


def _skipped(sizes: dict[Path, int], sample: Sample | None) -> frozenset[Path]:
    if sample is None:
        return frozenset()
    large = sorted(path for path, size in sizes.items() if size > SMALL_BYTES)
    # A string gives the same seed in every version and process.
    chosen = random.Random(f"verify {sample.seed}").sample(large, min(sample.count, len(large)))
    return frozenset(large) - frozenset(chosen)
