"""Check by explaining every cell: what `explain` contradicts, `verify` does not pass."""

from collections.abc import Iterator

from folk.evidence.audit.checks.cells import Derived
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.audit.today import Today


def check_explained(subject: Subject, derived: Derived, accused: set[str]) -> Iterator[Finding]:
    """Explain every cell that no other check accuses, and report what is contradicted.

    Args:
        subject: the study, whose files were read before: here none is hashed.
        derived: its cells.
        accused: cells with findings, of which the contradictions would be consequences.
    """
    explainer = Explainer(
        subject.chain,
        subject.study,
        derived.stored.values(),
        derived.published,
        Today(subject.recipes),
        "none",
        evidence=derived.evidence,
        derived=derived.today,
    )
    # Every cell reports a failed record that cannot be read, or leads nowhere: its job is unknown.
    _, of_failures = subject.chain.readable(subject.chain.failed_paths())
    for cell in subject.plan.cell_ids:
        if cell in accused or cell not in derived.stored:
            continue
        for sentence in explainer.explain(cell).contradicted:
            if sentence in of_failures.values() or subject.names_unsound(sentence):
                continue
            place = (subject.plan.evaluations_of(cell)[0] / "record.json").as_posix()
            yield Finding("tampered", place, f"{cell}: {sentence}", (cell,))
