"""Check of the freeze, and of the study against it."""

from collections.abc import Iterator
from pathlib import Path

from folk.evidence.audit.checks.seal import check_signed
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.freeze import freeze_path, since_freeze, unlike_committed
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import READERS
from folk.evidence.results.published import Published


def check_freeze(subject: Subject, published: Published, signers: Path | None) -> Iterator[Finding]:
    """Compare the freeze with itself, with git's and with the records, then the study with it.

    A change since is a remark: the report prints it.
    """
    yield from check_signed(subject, freeze_path(subject.results), signers)
    place = freeze_path(subject.results).as_posix()
    try:
        since = since_freeze(subject.study, subject.results, published, subject.recipes)
    except InputError as error:
        yield Finding("tampered", place, str(error).removeprefix(f"{place}: "))
        return
    other = unlike_committed(subject.results, None if since is None else since.freeze)
    if other is not None:
        yield Finding(other[0], place, other[1])
    if since is None:
        return
    frozen, records = since.freeze.frozen, since.freeze.records
    jobs = [*subject.finished.values(), *subject.failed.values()]
    measured = [job.record for job in jobs if job.record["stage"] not in READERS]
    earlier = sum((record["ended"] or record["started"]) < frozen for record in measured)
    if earlier > records:
        says = f"it states {records} records, but {earlier} jobs had ended by then"
        yield Finding("tampered", place, says)
    for proof in since.proofs:
        word: Word = "ok" if proof.holds else "tampered"
        yield Finding(word, proof.path.as_posix(), proof.says, remark=proof.holds)
    for name, lines in since.claims.items():
        cells = tuple(cell for _, cell in subject.study.claims[name].places())
        says = f"claim '{name}' was changed since the freeze, and its cells exist: {lines}"
        yield Finding("stale", place, says, cells, remark=True)
    says = "; ".join([f"frozen {since.in_words}", *since.changes])
    yield Finding("stale" if since.changes else "ok", place, says, remark=True)
