"""Check of claims.parquet against the cells."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from folk.evidence.audit.checks.cells import Derived
from folk.evidence.audit.checks.files import FilesRead
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.stale import shown_values
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.numbers import alike
from folk.evidence.results.claims import JudgedClaim, judge_claims, read_claims
from folk.evidence.results.published import numbers_file

CLAIMS_NAME = "claims.parquet"


def check_claims(
    subject: Subject, derived: Derived, accused: set[str], files: FilesRead
) -> Iterator[Finding]:
    """Judge every claim again from the cells as derived just now, and compare it with the stored.

    Args:
        subject: the study.
        derived: its cells.
        accused: cells with findings; a claim that rests on one is not reported again.
        files: the study's files, which show whether claims.parquet is as its record says.
    """
    path = subject.results / CLAIMS_NAME
    if not path.is_file():
        return  # reported for the record that names it, or for this record, if there is none
    edited = path.as_posix() in {finding.place for finding in files.findings}
    of_others: Word = "tampered" if edited else "stale"
    study_path = path if edited else subject.study_path
    try:
        stored = {claim.id: claim for claim in read_claims(path)}
    except InputError as error:
        yield Finding("tampered", path.as_posix(), str(error))
        return
    for name in sorted(stored.keys() - subject.study.claims.keys()):
        # A report of today's study has no claim that the study has not.
        if edited or _reports_today(subject):
            says = f"it has a claim '{name}', the study has none"
            yield Finding("tampered", path.as_posix(), says)
        else:
            says = f"{path} has a claim '{name}', the study has none"
            yield Finding("stale", subject.study_path.as_posix(), says)
    accused = accused | {cell for finding in derived.findings for cell in finding.cells}
    study = subject.study
    sound = {
        name: claim
        for name, claim in study.claims.items()
        if {cell for _, cell in claim.places()} <= derived.today.keys() - accused
    }
    reduced = study.model_copy(update={"claims": sound})
    try:
        again = judge_claims(reduced, derived.today.values(), derived.published)
    except InputError as error:
        yield Finding("stale", numbers_file(subject.published).as_posix(), str(error))
        return
    for claim in again:
        cells = tuple(claim.cells)
        if claim.id not in stored:
            says = f"the study has a claim '{claim.id}', {path} has none"
            yield Finding(of_others, study_path.as_posix(), says, cells)
            continue
        for key, was, now in differences(stored[claim.id], claim):
            says = f"{claim.id}: {key} is stored as {was!r}, derived again as {now!r}"
            not_ours = key in ("says", "kind", "cells") or key.startswith(("margin", "published"))
            yield Finding(of_others if not_ours else "tampered", path.as_posix(), says, cells)


def _reports_today(subject: Subject) -> bool:
    report = subject.readers.get(subject.results / "report/record.json")
    today = sha256_of_json(shown_values(subject.study))
    return report is not None and report.record["recipe_digest"] == today


def differences(stored: JudgedClaim, again: JudgedClaim) -> Iterator[tuple[str, Any, Any]]:
    """Yield name and both values of whatever differs between a stored claim and the judged one."""
    before, now = dict(_values(stored)), dict(_values(again))
    for key in {**before, **now}:
        if not alike(before.get(key), now.get(key)):
            yield key, before.get(key), now.get(key)


def _values(claim: JudgedClaim) -> Iterator[tuple[str, Any]]:
    fields: Mapping[str, Any] = asdict(claim)
    yield from ((key, value) for key, value in fields.items() if key != "steps")
    for step in claim.steps:
        for key in ("difference", "low", "high", "printed", "printed_interval"):
            yield f"{key} of {step.above} over {step.below}", getattr(step, key)
