"""Check for results that were not computed here."""

from collections.abc import Iterator
from pathlib import Path

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError
from folk.evidence.record.adopted import ADOPTED_NAME, read_adopted


def check_adopted(subject: Subject) -> Iterator[Finding]:
    """Report records whose files came by pull, unless they were made again here."""
    place: Path = subject.results / ADOPTED_NAME
    try:
        adopted = read_adopted(subject.results)
    except InputError as error:
        yield Finding("tampered", place.as_posix(), str(error))
        return
    jobs = [job for path, job in subject.finished.items() if adopted.get(path.as_posix()) == job.id]
    if jobs:
        says = f"{len(jobs)} of {len(subject.finished)} results came by pull"
        cells = subject.plan.cells(*(job.path for job in jobs))
        yield Finding("adopted", place.as_posix(), says, cells)
