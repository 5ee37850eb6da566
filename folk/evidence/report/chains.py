"""What the page tells behind each number: plain lines, given by whoever can question records.

This room reads no chain of records. The lines come in two kinds, because they age differently:
what records say stays so, and what was compared when the page was made was so then.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence

# Where a page says what was compared when it was made. Text is escaped, so that no name or note
# can look like one of these.
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
    recorded: Said  # as its record has it
    checked: Said  # beside what stood in the repository when the page was made

    @property
    def anchor(self) -> str:
        """The id of the element that tells it."""
        return "job-" + re.sub(r"[ /]", ".", self.name)


@dataclass(frozen=True)
class CellStory:
    """How one cell came about, and how far that was checked when the page was made."""

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
    """For a caller who cannot question records: the page then has no chains."""
    return {}


def jobs_of(stories: Stories) -> list[JobStory]:
    """Every job behind any cell once, makers before readers."""
    found = {job.record: job for story in stories.values() for job in story.jobs}
    return list(found.values())


def without_checked(page: str) -> str:
    """The page without what was compared when it was made; only what records and cells say."""
    return _CHECKED.sub(_BEGIN + _END, page)
