"""What the page says was checked when it was made, beside what the same check says today.

Records, cells and tables give the rest of the page again, byte by byte. What was compared with the
repository ages with it: of a study whose code moved, an honest page says less than one of today.
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
    """How the page would tell its cells today, and whether it may have told them otherwise then."""

    tell: Tell
    may_differ: bool  # in what was checked: something was found that accounts for it

    def only_checked(self, made: str, found: str) -> bool:
        """Whether two pages differ in nothing but what was checked when they were made."""
        return without_checked(made) == without_checked(found)


def page_today(
    subject: Subject, files: FilesRead, cells: Derived, causes: Iterable[Finding]
) -> PageToday:
    """Tell the cells with the digests and records that the audit has read already.

    Args:
        subject: the study.
        files: its files, read just now.
        cells: its cells, derived just now.
        causes: everything that was found so far.
    """
    here, seal = Path.cwd(), seal_path(subject.results).as_posix()
    today = Today(recipe=subject.recipe)
    # A sample leaves files out that the page had read, and they are not read for the page's sake.
    reading: Reading = "none" if files.not_read else "small"
    told = teller(subject.chain, subject.study, cells.published, today, reading, files.sha256)

    def tell(those: Sequence[Cell], evidence: Evidence) -> Stories:
        # The page is made in a copy of the results; code, lock and recipes lie here.
        with contextlib.chdir(here):
            return told(those, evidence)

    moved = any(f.word in _MOVES and f.place != seal for f in causes)
    return PageToday(tell, moved or bool(files.not_read))
