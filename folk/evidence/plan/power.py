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
from folk.evidence.study.study import Claim, Column, Study

ENOUGH = 0.8  # the usual target power
MOST_SEEDS = 100  # beyond it a question counts as out of reach
# ASSUME: half of the variance of a number comes from its pre-training. The one public nested
# measurement, 4 x 3 runs of CoinCheung/MFM@e4ce8db, estimates none by moments, with three degrees
# of freedom; half is the cautious side, since more fine-tunings do not lessen it.
PRETRAIN_SHARE = 0.5

_SEED = 0  # of the simulation: the same question has the same answer


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
    kind: Literal["number", "order", "difference", "equal"]
    cells: tuple[Measured, ...]  # the subtracted one first
    target: float = 0.0  # of a number, a difference or an equivalence
    margin: float = 0.0

    def chance(self, seeds: Sequence[int], trials: int) -> float:
        """Simulate studies and return the share with verdict "reproduced".

        Means and variances are drawn, not runs: of normal runs they are independent, normal and
        chi-squared, so a study of a hundred seeds costs no more than one of two.

        Args:
            seeds: pre-training runs of each cell.
            trials: number of simulated studies.
        """
        if min(seeds) < 2:
            return 0.0  # without an interval nothing is reproduced
        draw = np.random.default_rng(_SEED)
        means, errors = [], []  # of the cells; errors are squared
        for cell, count in zip(self.cells, seeds, strict=True):
            error = cell.deviation**2 / count
            means.append(cell.truth + error**0.5 * draw.standard_normal(trials))
            errors.append(error * draw.chisquare(count - 1, trials) / (count - 1))
        return float(self.reproduced(np.stack(means), np.stack(errors), seeds).mean())

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
            seeds: runs of each cell.
        """
        if self.kind == "number":
            reach = _quantile(np.float64(seeds[0] - 1), 0.95) * errors[0] ** 0.5
            return np.asarray(np.abs(means[0] - self.target) + reach <= self.margin)
        confidence = CONFIDENCE[self.kind]
        inside = []
        for below in range(len(means) - 1):
            gap = means[below + 1] - means[below]
            reach = welch_reach(
                errors[below + 1], errors[below], seeds[below + 1], seeds[below], confidence
            )
            if self.kind == "order":
                inside.append(gap - reach > 0.0)
            else:
                inside.append(np.abs(gap - self.target) + reach <= self.margin)
        return np.asarray(np.all(inside, axis=0))

    def seeds_needed(self, trials: int) -> int | None:
        """Find the runs per row for a chance of `ENOUGH`; None above `MOST_SEEDS`."""

        def enough(count: int) -> bool:
            return self.chance([count] * len(self.cells), trials) >= ENOUGH

        if not enough(MOST_SEEDS):
            return None
        low, high = 1, MOST_SEEDS  # the chance rises with the runs
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high


def welch_reach(
    above: Float[np.ndarray, "t"],
    below: Float[np.ndarray, "t"],
    count_above: int,
    count_below: int,
    confidence: float,
) -> Float[np.ndarray, "t"]:
    """Compute half the length of `intervals.difference_interval`, vectorized over samples.

    Args:
        above: squared standard error of one mean.
        below: of the other.
        count_above: runs of the one.
        count_below: of the other.
        confidence: in (0, 1).
    """
    freedom = (above + below) ** 2 / (above**2 / (count_above - 1) + below**2 / (count_below - 1))
    return np.asarray(_quantile(freedom, confidence) * (above + below) ** 0.5)


def _quantile(freedom: np.ndarray | np.float64, confidence: float) -> np.ndarray:
    import scipy.special

    return np.asarray(scipy.special.stdtrit(freedom, 0.5 + confidence / 2))


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
        target, margin, truths = 0.0, 0.0, [0.0] * len(places)
        if claim.order is not None:
            found = _printed_values(study, published, claim, places)
            if isinstance(found, str):
                yield name, found
                continue
            truths = found
        elif claim.equal is not None:
            margin = claim.equal.margin
        else:
            number = published.number(claim.published or "", short)
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
        yield name, Question(name, claim.kind, tuple(cells), target, margin)


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
