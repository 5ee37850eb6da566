"""What a figure of the report is, and what is said of one that the results do not allow."""

from dataclasses import dataclass

from folk.evidence.report.canvas import PALETTE
from folk.evidence.results.evidence import Evidence


@dataclass(frozen=True)
class Drawing:
    """A figure of the report; `svg` stands alone."""

    name: str
    title: str
    caption: str
    seen: str  # what is to be seen, for those who do not see it
    svg: str


@dataclass(frozen=True)
class NotDrawn:
    """A figure, or a part of it, that the results do not allow."""

    title: str
    why: str  # one clause


def row_colors(evidence: Evidence) -> dict[str, str]:
    """A color for each row's label, the same in every figure."""
    rows = evidence.study.encoders.values()
    return {row.label: PALETTE[i % len(PALETTE)] for i, row in enumerate(rows)}
