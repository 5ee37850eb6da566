"""Numbers of a plan, each with its basis."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MEASURED = "measured"
SCALED = "scaled from measured steps"
BOUND = "upper bound"
ESTIMATE = "estimate"
NOT_COUNTED = "not counted"

# Mark before a number, the first that applies: a sum is as certain as its parts.
_MARKS = ((NOT_COUNTED, "≥ "), (BOUND, "≤ "), (SCALED, "~ "), (ESTIMATE, "~ "))


@dataclass(frozen=True)
class Figure:
    """A number, and the number of jobs' measurements, bounds or estimates behind it."""

    value: float = 0.0
    basis: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, value: float, basis: str) -> "Figure":
        """Make the number of one job."""
        return cls(value, Counter([basis]))

    def times(self, factor: float) -> "Figure":
        """Convert to another unit."""
        return Figure(self.value * factor, self.basis if factor else Counter())

    def to_json(self) -> dict[str, Any]:
        """Return `{"value", "from"}`, the latter a number of jobs for each basis."""
        return {"value": self.value, "from": dict(sorted(self.basis.items()))}

    def __str__(self) -> str:
        if not self.basis or set(self.basis) == {NOT_COUNTED}:
            return "-"
        mark = next((mark for basis, mark in _MARKS if self.basis[basis]), "")
        return f"{mark}{_readable(self.value)}"


def total(figures: Iterable[Figure]) -> Figure:
    """Sum numbers with their bases."""
    value, basis = 0.0, Counter[str]()
    for figure in figures:
        value += figure.value
        basis += figure.basis
    return Figure(value, basis)


def _readable(value: float) -> str:
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"
