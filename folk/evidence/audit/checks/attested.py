"""Check of the attestations: signed, of this study and its records, without contradiction."""

from collections.abc import Iterator
from pathlib import Path

from folk.evidence.audit.attestation import jobs_of, judged, read_attestations
from folk.evidence.audit.checks.cells import Derived
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import printable


def check_attestations(
    subject: Subject, derived: Derived, signers: Path | None
) -> Iterator[Finding]:
    """Report each attestation; a wrong one accuses no cell.

    Raises:
        InputError: no file `signers`.
    """
    for found in read_attestations(subject.results, signers):
        cell = None if found.predicate is None else derived.today.get(found.predicate.cell)
        jobs = [] if cell is None else jobs_of(subject, cell)
        word, says = judged(found, subject.study.name, cell, jobs)
        remark = word in ("ok", "missing")
        reaches = (cell.id,) if word == "ok" and cell is not None else ()
        yield Finding(word, found.path.as_posix(), printable(says), reaches, remark)
