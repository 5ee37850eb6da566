"""Comparison of the page's stored checks with today's.

The rest of the page is reproduced from records, cells and tables byte by byte. Comparisons with the
repository become outdated with it: if the code changed, the page has other checks than today.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from folk.evidence.audit.checks.cells import Derived
from folk.evidence.audit.checks.files import FilesRead
from folk.evidence.audit.file_states import Reading
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.seal import seal_path
from folk.evidence.audit.stories import teller
from folk.evidence.audit.subject import Subject
from folk.evidence.audit.today import Today
from folk.evidence.report.chains import Stories, Tell, without_checked
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence

_MOVES: tuple[Word, ...] = ("tampered", "missing", "stale", "behind")


@dataclass(frozen=True)
class PageToday:
    """Today's stories of the page's cells, and whether they may differ from the stored ones."""

    tell: Tell
    may_differ: bool  # in the checks: another finding explains it

    def only_checked(self, made: str, found: str) -> bool:
        """Return True if two pages differ only in their checks."""
        return without_checked(made) == without_checked(found)


def page_today(
    subject: Subject, files: FilesRead, cells: Derived, causes: Iterable[Finding]
) -> PageToday:
    """Make the cells' stories from the digests and records that the audit has read.

    Args:
        subject: the study.
        files: its files, read just now.
        cells: its cells, derived just now.
        causes: all findings so far.
    """
    here, seal = Path.cwd(), seal_path(subject.results).as_posix()
    today = Today(recipe=subject.recipe)
    # With a sample, files that the page had read may be unread; they are not read again.
    reading: Reading = "none" if files.not_read else "small"
    told = teller(subject.chain, subject.study, cells.published, today, reading, files.sha256)

    def tell(those: Sequence[Cell], evidence: Evidence) -> Stories:
        # The page is made in a copy of the results; code, lock and recipes are here.
        with contextlib.chdir(here):
            return told(those, evidence)

    moved = any(f.word in _MOVES and f.place != seal for f in causes)
    return PageToday(tell, moved or bool(files.not_read))
