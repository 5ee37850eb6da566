"""Claims about several numbers, judged by the cells alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from folk.evidence.results.cells import Cell, digits_of
from folk.evidence.results.compared import check_comparisons, unit_of_difference
from folk.evidence.results.metrics import intervals
from folk.evidence.results.published import Published
from folk.evidence.results.simulated import fewest_seeds, simulated_means, steps_between
from folk.evidence.results.stored import read_rows, schema_of, write_rows
from folk.evidence.results.verdicts import (
    Step,
    Verdict,
    equal_here,
    order_here,
    order_verdict,
    sign_here,
    verdict,
)
from folk.evidence.study.study import Claim, Study

# Two one-sided tests at 5 % each need the 90 % interval.
CONFIDENCE = {"order": 0.95, "difference": 0.95, "sign": 0.95, "equal": 0.90}
MOST_SEEDS = 50  # beyond it the seeds that would decide a claim are not counted

_TRIALS = 4000  # simulated studies; a chance of 80 % is then known to 0.6 points


@dataclass(frozen=True)
class ClaimStep:
    """Step from one cell to the next."""

    below: str  # what is subtracted: a cell, or "the mean of 6 cells"
    above: str
    difference: float | None  # of the means; None when a cell has no number
    low: float | None  # Welch's interval over seeds; None with a single seed
    high: float | None
    printed: str  # as tables print them; empty when there is none
    printed_interval: str


@dataclass(frozen=True)
class JudgedClaim:
    """One claim, a row of claims.parquet."""

    id: str
    says: str
    kind: str  # order, difference, sign or equal
    cells: list[str]  # the subtracted one first
    printed_values: list[str]
    seeds: list[int]  # of each cell
    unit: str  # of differences
    confidence: float
    steps: list[ClaimStep]  # from each cell to the next
    margin: float | None  # of the published difference, or of the equivalence
    published_id: str | None  # of a number or of a statement
    published_value: float | None
    published_printed: str | None
    published_certainty: str | None
    published_source: str | None
    verdict: str
    seeds_to_decide: int | None  # in each row, if undecided; None beyond `MOST_SEEDS`
    printed_seeds_to_decide: str  # empty if decided, without an interval, or for means of cells
    note: str


SCHEMA = schema_of(JudgedClaim)


def judge_claims(study: Study, cells: Iterable[Cell], published: Published) -> list[JudgedClaim]:
    """Judge every claim of a study, in the study's order.

    Args:
        cells: the study's cells; differences and intervals are computed from their seeds.
    """
    check_comparisons(study, published)
    by_id = {cell.id: cell for cell in cells}
    return [_judged(study, name, claim, by_id, published) for name, claim in study.claims.items()]


def write_claims(claims: Iterable[JudgedClaim], path: Path) -> None:
    """Write claims.parquet atomically; without claims it has no rows."""
    table = pa.Table.from_pylist([asdict(claim) for claim in claims], schema=SCHEMA)
    write_rows(table, path)


def read_claims(path: Path) -> list[JudgedClaim]:
    """Read claims.parquet.

    Raises:
        InputError: the file is missing, unreadable, has other columns, or a row of it is no claim.
    """
    rows = read_rows(path, JudgedClaim, "claims").to_pylist()
    return [JudgedClaim(**{**r, "steps": [ClaimStep(**s) for s in r["steps"]]}) for r in rows]


def _judged(
    study: Study, name: str, claim: Claim, by_id: Mapping[str, Cell], published: Published
) -> JudgedClaim:
    sides = [[by_id[cell] for cell in side] for side in claim.sides()]
    cells = [cell for side in sides for cell in side]
    confidence, unit = CONFIDENCE[claim.kind], unit_of_difference(cells[0].unit)
    # One decimal more than cells have: margins of differences are finer than a printed accuracy.
    digits = 2 if unit == "points" else 1 + digits_of([v for c in cells for v in c.seed_values])
    steps = [_step(below, above, confidence, digits) for below, above in pairwise(sides)]
    against = _against(study, claim, cells, steps, published)
    return JudgedClaim(
        id=name,
        says=claim.says,
        kind=claim.kind,
        cells=[cell.id for cell in cells],
        printed_values=[cell.printed for cell in cells],
        seeds=[cell.n for cell in cells],
        unit=unit,
        confidence=confidence,
        steps=steps,
        **against,
        **_to_decide(claim, cells, against),
        note=_note(cells, _without_sign(claim, against)),
    )


def _step(
    below: Sequence[Cell], above: Sequence[Cell], confidence: float, digits: int
) -> ClaimStep:
    lower, upper = ([c.value for c in side if c.value is not None] for side in (below, above))
    if len(lower) < len(below) or len(upper) < len(above):
        return ClaimStep(_named(below), _named(above), None, None, None, "", "")
    gap = intervals.mean(upper) - intervals.mean(lower)
    runs = [cell.run_values for cell in above], [cell.run_values for cell in below]
    found = intervals.contrast_interval(*runs, confidence)
    low, high = (found.low, found.high) if found is not None else (None, None)

    def show(value: float) -> str:
        return f"{value:+.{digits}f}".replace("-", "−")

    reach = f"{show(low)} to {show(high)}" if low is not None and high is not None else ""
    return ClaimStep(_named(below), _named(above), gap, low, high, show(gap), reach)


def _named(side: Sequence[Cell]) -> str:
    return side[0].id if len(side) == 1 else f"the mean of {len(side)} cells"


def _against(
    study: Study, claim: Claim, cells: list[Cell], steps: list[ClaimStep], published: Published
) -> dict[str, Any]:
    number = published.numbers.get(claim.published or "")
    statement = published.statements.get(claim.source or "")
    source = number or statement
    known = number.value if number is not None else None
    margin = claim.equal.margin if claim.equal is not None else None
    if number is not None and known is not None:
        margin = number.margin
    changes = [Step(step.difference, step.low, step.high) for step in steps]
    word: Verdict
    if study.scale != "paper":
        word = _here(claim, changes, known)
    elif claim.kind in ("order", "sign"):
        word = order_verdict(changes)
    else:
        # A difference without a published value has no margin: it stays inconclusive.
        word = verdict(
            scale=study.scale,
            mean=steps[0].difference,
            low=steps[0].low,
            high=steps[0].high,
            published=known or 0.0,
            margin=margin,
            same_epoch=number is None or not any(number.of_another_epoch(c.metric) for c in cells),
        )
    return {
        "margin": margin,
        "published_id": source.id if source is not None else None,
        "published_value": known,
        "published_printed": number.printed if number is not None else None,
        "published_certainty": source.certainty if source is not None else None,
        "published_source": _source(published, claim),
        "verdict": word,
    }


def _here(claim: Claim, steps: list[Step], published: float | None) -> Verdict:
    """Judge a claim by its own cells, in a study below the papers' size."""
    if claim.equal is not None:
        return equal_here(steps[0], claim.equal.margin)
    if claim.difference is not None:
        return sign_here(steps[0], 1.0 if claim.published is None else published)
    return order_here(steps)


def _to_decide(claim: Claim, cells: list[Cell], against: dict[str, Any]) -> dict[str, Any]:
    runs = [cell.run_values for cell in cells]
    undecided = against["verdict"] == "undecided here" and not _without_sign(claim, against)
    if not undecided or min(map(len, runs)) < 2 or len(claim.sides()) < len(runs):
        return {"seeds_to_decide": None, "printed_seeds_to_decide": ""}
    count = seeds_to_decide(runs, None if claim.equal is None else claim.equal.margin)
    printed = f"more than {MOST_SEEDS}" if count is None else str(count)
    return {"seeds_to_decide": count, "printed_seeds_to_decide": printed}


def seeds_to_decide(runs: Sequence[Sequence[float]], margin: float | None) -> int | None:
    """Find the seeds in each row for a chance of 80 % that a claim holds or fails.

    It takes the observed differences and standard deviations for the true ones, which two or
    three seeds know badly.

    Args:
        runs: the numbers of each cell's runs, two or more; the subtracted cell first.
        margin: of an equivalence; None for an order or a sign.

    Returns:
        None beyond `MOST_SEEDS`.
    """
    truths = [intervals.mean(values) for values in runs]
    deviations = [intervals.deviation(values) or 0.0 for values in runs]
    confidence = CONFIDENCE["order" if margin is None else "equal"]

    def chance(count: int) -> float:
        seeds = [count] * len(runs)
        means, errors = simulated_means(truths, deviations, seeds, _TRIALS)
        gaps, reaches = steps_between(means, errors, seeds, confidence)
        if margin is not None:
            decided = (abs(gaps) + reaches <= margin) | (abs(gaps) - reaches > margin)
            return float(decided.mean())
        rises, falls = (gaps - reaches > 0.0).all(axis=0), (gaps + reaches < 0.0).any(axis=0)
        return float((rises | falls).mean())

    return fewest_seeds(chance, MOST_SEEDS)


def _without_sign(claim: Claim, against: dict[str, Any]) -> bool:
    """Return True if the sign of a published difference is tested, and it has none."""
    judged_here = against["verdict"] == "undecided here"
    return judged_here and claim.kind == "difference" and not against["published_value"]


def _source(published: Published, claim: Claim) -> str | None:
    sources = []
    if number := published.numbers.get(claim.published or ""):
        sources.append((number.paper, number.table, number.source, number.note))
    if statement := published.statements.get(claim.source or ""):
        sources.append((statement.paper, statement.place, statement.source, statement.note))
    texts = [
        f"{published.papers[paper].title} ({published.papers[paper].venue}), {place}. "
        f"Source: {source}." + (f" {note[:1].upper()}{note[1:]}." if note else "")
        for paper, place, source, note in sources
    ]
    return " ".join(texts) or None


def _note(cells: list[Cell], without_sign: bool) -> str:
    empty = [f"{cell.id} has no number ({cell.note})" for cell in cells if cell.value is None]
    single = [cell.id for cell in cells if cell.value is not None and cell.n == 1]
    one = [f"one seed in {', '.join(single)}, so no interval"] if single else []
    unsigned = ["the published difference has no known sign"] if without_sign else []
    return "; ".join([*empty, *one, *unsigned])
