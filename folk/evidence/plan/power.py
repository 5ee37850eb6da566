"""Statistical power of a study: the chance of conclusive verdicts, before any run.

Assumption: the papers' numbers are exact, and seeds scatter normally around them with the
deviations of config/published. The rules are those of
`folk.evidence.results.verdicts`, applied to many simulated studies at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from folk.evidence.results.claims import CONFIDENCE
from folk.evidence.results.compared import unit_of
from folk.evidence.results.published import Published
from folk.evidence.results.simulated import (
    fewest_seeds,
    simulated_means,
    steps_between,
    student_reach,
)
from folk.evidence.study.study import Claim, Column, Study

MOST_SEEDS = 100  # beyond it a question counts as out of reach
Kind = Literal["number", "order", "difference", "equal"]
# ASSUME: half of the variance of a number comes from its pre-training. The one public nested
# measurement, 4 x 3 runs of CoinCheung/MFM@e4ce8db, estimates none by moments, with three degrees
# of freedom; half is the cautious side, since more fine-tunings do not lessen it.
PRETRAIN_SHARE = 0.5


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of one measurement of one run, in points, and their parts."""

    by_kind: Mapping[str, float]
    pretrain_share: float  # of the variance; the rest is that of the fine-tuning

    def of_run(self, study: Study, column: Column) -> float:
        """Deviation of a run's number in a column, the mean over fine-tuning seeds and settings.

        The best of several settings counts as one of them.
        """
        rounds = study.rounds(column)
        settings = len(next(iter(rounds.values()))) if column.combine == "mean" else 1
        one = max(self.by_kind[kind_of(study, name)] for name in column.evaluations)
        share = self.pretrain_share
        return float(one * (share + (1 - share) / (len(rounds) * settings)) ** 0.5)


@dataclass(frozen=True)
class Measured:
    """One cell of a question: its runs, evaluations and deviation."""

    row: str
    evaluations: tuple[str, ...]
    seeds: int  # pre-training runs
    fine_tunings: int  # of each run
    truth: float  # its true value, if the paper is right; differences alone count in claims
    deviation: float  # of a run's number


@dataclass(frozen=True)
class Question:
    """A published number or claim to be judged, in one unit."""

    name: str  # table/row/column, or claims/name
    kind: Kind
    cells: tuple[Measured, ...]  # the subtracted one first
    target: float = 0.0  # of a number, a difference or an equivalence
    margin: float = 0.0

    def chance(self, seeds: Sequence[int], trials: int) -> float:
        """Simulate studies and return the share with verdict "reproduced".

        Args:
            seeds: pre-training runs of each cell.
        """
        if min(seeds) < 2:
            return 0.0  # without an interval nothing is reproduced
        truths = [cell.truth for cell in self.cells]
        deviations = [cell.deviation for cell in self.cells]
        means, errors = simulated_means(truths, deviations, seeds, trials)
        return float(self.reproduced(means, errors, seeds).mean())

    def reproduced(
        self,
        means: Float[np.ndarray, "c t"],
        errors: Float[np.ndarray, "c t"],
        seeds: Sequence[int],
    ) -> Bool[np.ndarray, "t"]:
        """Compute for each of t studies whether `verdict` would be "reproduced".

        Args:
            means: of the runs, for each cell.
            errors: squared standard errors of these means.
        """
        if self.kind == "number":
            reach = student_reach(errors[0], seeds[0], 0.95)
            return np.asarray(np.abs(means[0] - self.target) + reach <= self.margin)
        gaps, reaches = steps_between(means, errors, seeds, CONFIDENCE[self.kind])
        if self.kind == "order":
            inside = gaps - reaches > 0.0
        else:
            inside = np.abs(gaps - self.target) + reaches <= self.margin
        return np.asarray(np.all(inside, axis=0))

    def seeds_needed(self, trials: int) -> int | None:
        """Find the runs per row for a chance of `ENOUGH`; None above `MOST_SEEDS`."""
        return fewest_seeds(
            lambda count: self.chance([count] * len(self.cells), trials), MOST_SEEDS
        )


def kind_of(study: Study, evaluation: str) -> str:
    """Return the kind of an evaluation's number, as in papers.yaml."""
    entry = study.evaluations[evaluation]
    stage = study.stages[entry.stage]
    return stage.kind if entry.split is None else stage.kind_of_few or stage.kind


def questions(
    study: Study, published: Published, deviations: Deviations
) -> tuple[list[Question], dict[str, str]]:
    """List everything that a full-size study can get a conclusive verdict on.

    Returns:
        the questions in the order of the study, and the reasons for the others.
    """
    asked: list[Question] = []
    without: dict[str, str] = {}
    for name, question in (
        *_of_numbers(study, published, deviations),
        *_of_claims(study, published, deviations),
    ):
        if isinstance(question, str):
            without[name] = question
        else:
            asked.append(question)
    return asked, without


_Found = Iterator[tuple[str, Question | str]]
_UNIT = "not in %, so no deviation is known"
_UNSEEN = "the published value is not known"
_UNSTATED = "no difference is published"
_NO_MARGIN = "the published number has no margin"
_EPOCH = "the published number is of another epoch"


def _of_numbers(study: Study, published: Published, deviations: Deviations) -> _Found:
    cells = study.cells()
    for table_name, table in study.tables.items():
        for place, wanted in table.published.items():
            name = f"{table_name}/{place}"
            number, column = published.number(wanted, name), cells[name]
            if number.value is None:
                yield name, _UNSEEN
            elif number.margin is None:
                yield name, _NO_MARGIN
            elif number.of_another_epoch(column.metric):
                yield name, _EPOCH
            elif unit_of(column) != "%":
                yield name, _UNIT
            else:
                cell = _measured(study, deviations, name, number.value)
                yield name, Question(name, "number", (cell,), number.value, number.margin)


def _of_claims(study: Study, published: Published, deviations: Deviations) -> _Found:
    columns = study.cells()
    for short, claim in study.claims.items():
        name, places = f"claims/{short}", [cell for _, cell in claim.places()]
        if any(unit_of(columns[place]) != "%" for place in places):
            yield name, _UNIT
            continue
        kind: Kind = "difference"
        target, margin, truths = 0.0, 0.0, [0.0] * len(places)
        if claim.order is not None:
            found = _printed_values(study, published, claim, places)
            if isinstance(found, str):
                yield name, found
                continue
            kind, truths = "order", found
        elif claim.equal is not None:
            kind, margin = "equal", claim.equal.margin
        elif claim.published is None:
            yield name, _UNSTATED
            continue
        else:
            number = published.number(claim.published, short)
            if number.value is None:
                yield name, _UNSEEN
                continue
            if number.margin is None:
                yield name, _NO_MARGIN
                continue
            if any(number.of_another_epoch(columns[place].metric) for place in places):
                yield name, _EPOCH
                continue
            target, margin, truths = number.value, number.margin, [0.0, number.value]
        cells = [
            _measured(study, deviations, place, truth)
            for place, truth in zip(places, truths, strict=True)
        ]
        yield name, Question(name, kind, tuple(cells), target, margin)


def _printed_values(
    study: Study, published: Published, claim: Claim, places: Sequence[str]
) -> list[float] | str:
    """Collect the published values of an order's cells, or return the reason why not."""
    if claim.source is not None:
        ids: list[str | None] = list(published.statement(claim.source, "").numbers)
    else:
        ids = []
    if len(ids) != len(places):
        split = [place.split("/", 1) for place in places]
        ids = [study.tables[table].published.get(place) for table, place in split]
    numbers = [published.numbers.get(id_ or "") for id_ in ids]
    values = [number.value for number in numbers if number is not None]
    known = [value for value in values if value is not None]
    if len(known) < len(places):
        return "not every published value is known"
    if known != sorted(set(known)):
        return "the published values do not rise"
    return known


def _measured(study: Study, deviations: Deviations, cell: str, truth: float) -> Measured:
    column, row = study.cells()[cell], cell.split("/")[1]
    return Measured(
        row=row,
        evaluations=tuple(column.evaluations),
        seeds=len(study.encoders[row].seeds) - len(study.excluded(row)),
        fine_tunings=len(study.rounds(column)),
        truth=truth,
        deviation=deviations.of_run(study, column),
    )
