"""Figures of the report, and notes on figures without data."""

from dataclasses import dataclass

from folk.evidence.report.canvas import PALETTE
from folk.evidence.results.evidence import Evidence


@dataclass(frozen=True)
class Drawing:
    """A figure of the report, as a complete SVG."""

    name: str
    title: str
    caption: str
    seen: str  # alternative text
    svg: str


@dataclass(frozen=True)
class NotDrawn:
    """A figure, or a part of it, without data."""

    title: str
    why: str  # one clause


def row_colors(evidence: Evidence) -> dict[str, str]:
    """Assign a color to each row's label, the same in every figure."""
    rows = evidence.study.encoders.values()
    return {row.label: PALETTE[i % len(PALETTE)] for i, row in enumerate(rows)}
