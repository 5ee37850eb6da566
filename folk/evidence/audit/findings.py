"""Findings of an audit: eight words, each with its rule."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Word = Literal["tampered", "missing", "stale", "foreign", "failed", "behind", "adopted", "ok"]

# In display order: the most urgent first.
RULES: dict[Word, str] = {
    "tampered": "bytes, a record or a printed number differ from what the chain, the seal or the "
    "evidence says",
    "missing": "named by a record, the study or the seal, and not there",
    "stale": "recipe, study values, published numbers or inputs are not what the result was made "
    "from any more",
    "foreign": "a file in the study's results that no record or known product names, a record of "
    "another study, or a run that the study file no longer asks for",
    "failed": "a job that failed or was interrupted; it stays in the chain",
    "behind": "code, commit or environment lock moved since; the result still is what its record "
    "says",
    "adopted": "the bytes came by pull and were checked; not computed here",
    "ok": "re-checked, and as recorded; a remark may say what was declared about it",
}
WRONG: tuple[Word, ...] = ("tampered", "missing", "stale", "foreign", "failed")


@dataclass(frozen=True)
class Finding:
    """One finding of an audit on one file.

    `remark` marks a finding that does not fail the audit, such as a study without a seal.
    """

    word: Word
    place: str  # the file, from the folder of the repository
    says: str
    cells: tuple[str, ...] = ()  # ids of the cells that it reaches
    remark: bool = False

    @property
    def wrong(self) -> bool:
        """True if the audit fails for it."""
        return self.word in WRONG and not self.remark


@dataclass(frozen=True)
class Checked:
    """Counts of what was checked, and names of what was not."""

    records: int = 0
    files: int = 0
    bytes_read: int = 0
    cells: int = 0
    not_read: tuple[str, ...] = ()  # files of which only the size was compared
    elsewhere: dict[str, str] = field(default_factory=dict)  # their recorded sha256
    not_checked: tuple[str, ...] = ()  # sentences: what could not be compared, and why


@dataclass(frozen=True)
class Verification:
    """Result of an audit."""

    study: str
    findings: list[Finding]
    checked: Checked
    cells: dict[str, list[Word]] = field(default_factory=dict)  # the words that reach each cell

    @property
    def wrong(self) -> list[Finding]:
        """The findings for which the audit fails."""
        return [finding for finding in self.findings if finding.wrong]

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "study": self.study,
            "wrong": len(self.wrong),
            "findings": [asdict(finding) | {"wrong": finding.wrong} for finding in self.findings],
            "cells": self.cells,
            "checked": asdict(self.checked),
        }


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by word and file, without duplicates."""
    merged: dict[tuple[Word, str, bool], Finding] = {}
    for finding in findings:
        key = (finding.word, finding.place, finding.remark)
        first = merged.setdefault(key, finding)
        if first is not finding:
            says = first.says if finding.says in first.says else f"{first.says}; {finding.says}"
            cells = tuple(sorted({*first.cells, *finding.cells}))
            merged[key] = replace(first, says=says, cells=cells)
    words = list(RULES)
    return sorted(merged.values(), key=lambda f: (words.index(f.word), f.remark, f.place))


def words_by_cell(cells: Sequence[str], findings: Iterable[Finding]) -> dict[str, list[Word]]:
    """Map each cell to the words that reach it, without remarks; `ok` if there are none."""
    reached: dict[str, Counter[Word]] = {cell: Counter() for cell in cells}
    for finding in findings:
        if not finding.remark and finding.word != "ok":
            for cell in finding.cells:
                reached.setdefault(cell, Counter())[finding.word] += 1
    return {cell: [w for w in RULES if w in found] or ["ok"] for cell, found in reached.items()}
