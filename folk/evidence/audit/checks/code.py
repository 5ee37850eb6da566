"""Check of code, commit and environment against the records."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from folk import __version__
from folk.evidence.audit.chain import Job
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.audit.today import LOCK, lock_sha256
from folk.evidence.core.shipped import IS_WHEEL
from folk.evidence.record.environment import code_moved_since
from folk.evidence.record.fingerprint import code_fingerprint, code_here

REPORT = "folk.cli.report"
_SHORT = 12

Key = TypeVar("Key")


def check_code(subject: Subject) -> Iterator[Finding]:
    """Report changes since the results were made; one finding for all results made alike."""
    yield from _fingerprints(subject)
    yield from _commits(subject)
    yield from _locks(subject)
    yield from _continued(subject)


def _fingerprints(subject: Subject) -> Iterator[Finding]:
    def made_by(job: Job) -> tuple[str, str]:
        return job.record["stage"], job.record["code"]["fingerprint"]

    for (stage, fingerprint), jobs in _grouped(subject, made_by):
        today = code_fingerprint(f"folk.stages.{stage}", code_here())
        if fingerprint != today:
            says = f"{len(jobs)} results made by code {fingerprint[:_SHORT]}, today's is "
            says += today[:_SHORT]
            yield _behind(subject, f"folk/stages/{stage}.py", says, jobs)
    for path, job in subject.readers.items():
        # The mirror in MLflow is not made again for other code.
        then, today = job.record["code"]["fingerprint"], code_fingerprint(REPORT, code_here())
        if path.parent.name == "report" and then != today:
            says = f"made by code {then[:_SHORT]}, today's is {today[:_SHORT]}"
            yield Finding("behind", path.as_posix(), says)


def _commits(subject: Subject) -> Iterator[Finding]:
    for commit, jobs in _grouped(subject, lambda job: job.record["code"]["commit"]):
        if commit is None:
            says = f"{len(jobs)} results made where git named no commit, so none is known"
            cells = subject.plan.cells(*(job.path for job in jobs))
            yield Finding("ok", subject.results.as_posix(), says, cells, remark=True)
        elif IS_WHEEL:
            says = f"{len(jobs)} results made at commit {commit[:_SHORT]}, which an installed folk "
            says += f"cannot compare with its version {__version__}"
            yield Finding("ok", subject.results.as_posix(), says, remark=True)
        elif (moved := code_moved_since(Path(), commit)) is None:
            says = f"{len(jobs)} results made at commit {commit[:_SHORT]}, not in this clone"
            yield _behind(subject, subject.results.as_posix(), says, jobs)
        elif moved:
            says = f"{len(jobs)} results made at commit {commit[:_SHORT]}; since then "
            says += ", ".join(moved[:3]) + (f" and {len(moved) - 3} more" if moved[3:] else "")
            yield _behind(subject, subject.results.as_posix(), f"{says} changed", jobs)


def _locks(subject: Subject) -> Iterator[Finding]:
    today = lock_sha256()
    for lock, jobs in _grouped(subject, lambda job: job.record["environment"]["lock_sha256"]):
        if lock != today and (lock is not None or not IS_WHEEL):  # no lock made an installation
            says = f"{len(jobs)} results made with another lock, {str(lock)[:_SHORT]}"
            yield _behind(subject, LOCK.as_posix(), says, jobs)


def _continued(subject: Subject) -> Iterator[Finding]:
    for job in subject.planned.values():
        codes = {start["fingerprint"] for start in job.record["restarts"]}
        if codes - {job.record["code"]["fingerprint"]}:
            says = "its code was changed between two starts of the job"
            cells = subject.plan.cells(job.path)
            yield Finding("ok", job.path.as_posix(), says, cells, remark=True)


def _grouped(subject: Subject, key: Callable[[Job], Key]) -> Iterator[tuple[Key, list[Job]]]:
    groups: dict[Key, list[Job]] = defaultdict(list)
    for job in subject.planned.values():
        groups[key(job)].append(job)
    yield from groups.items()


def _behind(subject: Subject, place: str, says: str, jobs: list[Job]) -> Finding:
    return Finding("behind", place, says, subject.plan.cells(*(job.path for job in jobs)))
