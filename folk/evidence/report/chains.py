"""Chains behind the page's numbers, as plain lines from the audit.

This package reads no records. There are two kinds of lines, because they age differently: facts
from records are permanent, and checks are valid at the time of rendering.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence

# Marks around checks on the page. Text is escaped, so that no name or note can contain them.
_BEGIN, _END = "<!-- checked -->", "<!-- as checked -->"
_CHECKED = re.compile(f"{_BEGIN}.*?{_END}", re.DOTALL)

Said = list[tuple[str, list[str]]]  # a label and its lines


@dataclass(frozen=True)
class JobStory:
    """One job of a chain; cells share it."""

    name: str  # such as `pretrain folk-s0`
    record: str  # path
    id: str
    starts: int
    recorded: Said  # from its record
    checked: Said  # compared with the repository when the page was made

    @property
    def anchor(self) -> str:
        """The id of its element."""
        return "job-" + re.sub(r"[ /]", ".", self.name)


@dataclass(frozen=True)
class CellStory:
    """Origin of one cell, and its checks when the page was made."""

    parts: list[str] = field(default_factory=list)  # each evaluation's number, stated and derived
    claims: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    jobs: list[JobStory] = field(default_factory=list)  # makers before readers
    contradicted: list[str] = field(default_factory=list)
    established: list[str] = field(default_factory=list)
    not_established: list[str] = field(default_factory=list)


Stories = dict[str, CellStory]  # by cell
Tell = Callable[[Sequence[Cell], Evidence], Stories]


def no_stories(cells: Sequence[Cell], evidence: Evidence) -> Stories:
    """Return no stories, for callers without the audit: the page then has no chains."""
    return {}


def jobs_of(stories: Stories) -> list[JobStory]:
    """List every job behind any cell once, in dependency order."""
    found = {job.record: job for story in stories.values() for job in story.jobs}
    return list(found.values())


def without_checked(page: str) -> str:
    """Remove the checks from a page, keeping facts from records and cells."""
    return _CHECKED.sub(_BEGIN + _END, page)
