"""Cells: every number of every table with its inputs, the only source of printed numbers."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.results.bootstrap import image_bootstrap
from folk.evidence.results.compared import check_comparisons, unit_of
from folk.evidence.results.evidence import FOREIGN, Evidence, Measurement
from folk.evidence.results.metrics import intervals
from folk.evidence.results.published import Published, PublishedNumber
from folk.evidence.results.stored import read_rows, schema_of, write_rows
from folk.evidence.results.verdicts import verdict
from folk.evidence.study.study import Column, Study, run_name


@dataclass(frozen=True)
class Cell:
    """One number of one table, a row of cells.parquet."""

    id: str  # table/row/column
    table: str
    row: str
    column: str
    value: float | None  # mean over seeds, in `unit`; None when a run is missing
    unit: str
    n: int  # seeds with a number
    std: float | None  # of the runs' means, ddof = 1; None for a single seed
    std_finetune: float | None  # within a run, pooled; None without fine-tuning seeds
    std_pretrain: float | None  # between runs without the former; None likewise
    low: float | None  # 95 % t-interval of the mean; None for a single seed
    high: float | None
    boot_low: float | None  # 95 % bootstrap over images, these seeds; None without predictions
    boot_high: float | None
    seeds: list[int]  # of the run, for each of `seed_values`
    finetune_seeds: list[int]  # likewise; empty without them
    seed_values: list[float]
    parents: list[str]  # records this number was made from
    parent_ids: list[str | None]  # None where there is no record
    metric: str
    formula: str
    printed: str  # as in tables; empty without a value
    printed_mean: str
    printed_std: str
    printed_std_finetune: str
    printed_std_pretrain: str
    printed_low: str
    printed_high: str
    printed_boot_low: str
    printed_boot_high: str
    printed_seeds: list[str]
    published_id: str | None
    published_value: float | None
    published_printed: str | None
    published_certainty: str | None
    published_epoch: str | None  # best, last or unknown
    published_margin: float | None
    verdict: str | None  # None without a published number
    quoted: bool  # quoted row: a published number and none of ours
    note: str

    @property
    def is_missing(self) -> bool:
        """True if a number of ours is missing here."""
        return self.value is None and not self.quoted

    @property
    def is_whole(self) -> bool:
        """True if its id is that of its place, and lists that belong together are of one length."""
        return (
            self.id == f"{self.table}/{self.row}/{self.column}"
            and len(self.parents) == len(self.parent_ids)
            and len(self.seeds) == len(self.seed_values) == len(self.printed_seeds)
            and len(self.finetune_seeds) in (0, len(self.seeds))
        )

    @property
    def run_values(self) -> list[float]:
        """Value of each run: the mean over its fine-tuning seeds, if it has any."""
        if not self.finetune_seeds:
            return self.seed_values
        return [intervals.mean(values) for values in _by_run(self.seeds, self.seed_values)]


SCHEMA = schema_of(Cell)


def collect_cells(
    study: Study,
    results: Path,
    published: Published,
    *,
    strict: bool = False,
    evidence: Evidence | None = None,
) -> pa.Table:
    """Compute every cell of a study's tables.

    Args:
        strict: raise for a cell with a missing run instead of leaving it empty.
        evidence: the results, if the caller has read them already.

    Returns:
        one row per cell with the columns of `SCHEMA`, in the order of the study.

    Raises:
        InputError: an unreadable file, an unknown metric, a number that its own predictions
            contradict, an invalid comparison or, if `strict`, a missing run.
    """
    evidence = evidence or Evidence(study, results)
    check_comparisons(study, published)
    cells = [_cell(study, evidence, published, *place) for place in _places(study)]
    empty = [f"{cell.id} ({cell.note})" for cell in cells if cell.is_missing]
    if strict and empty:
        raise InputError(f"{results}: cells without a number: {', '.join(empty)}; run them first")
    return pa.Table.from_pylist([asdict(cell) for cell in cells], schema=SCHEMA)


def write_cells(table: pa.Table, path: Path) -> None:
    """Write cells.parquet atomically."""
    write_rows(table, path)


def read_cells(path: Path) -> list[Cell]:
    """Read cells.parquet.

    Raises:
        InputError: the file is missing, unreadable, has other columns, or a row of it is no cell.
    """
    cells = cells_of(read_rows(path, Cell, "cells"))
    for cell in cells:
        if not cell.is_whole:
            raise InputError(f"{path}: '{cell.id}': its values do not fit; run `report` again")
    return cells


def cells_of(table: pa.Table) -> list[Cell]:
    """Convert the rows of a cells table to objects."""
    return [Cell(**row) for row in table.to_pylist()]


def derive_cell(study: Study, evidence: Evidence, published: Published, cell_id: str) -> Cell:
    """Compute one cell from the results, without cells.parquet.

    Raises:
        InputError: unknown cell, or as `collect_cells`.
    """
    places = {_place(*place)["id"]: place for place in _places(study)}
    if cell_id not in places:
        raise InputError(f"{study.name}: unknown cell '{cell_id}'{nearest(cell_id, places)}")
    return _cell(study, evidence, published, *places[cell_id])


def derive_cells(
    study: Study, evidence: Evidence, published: Published
) -> Iterator[tuple[str, Cell | InputError]]:
    """Compute every cell from the results, without cells.parquet; one's error hides no other."""
    for place in _places(study):
        try:
            yield _place(*place)["id"], _cell(study, evidence, published, *place)
        except InputError as error:
            yield _place(*place)["id"], error


def _places(study: Study) -> Iterator[tuple[str, str, str]]:
    """Yield table, row and column of every cell: our rows first, then quoted ones."""
    for name, table in study.tables.items():
        yield from ((name, row, column) for row in table.rows for column in table.columns)
        for row, quoted in table.context.items():
            yield from ((name, row, column) for column in quoted.cells)


def _cell(
    study: Study, evidence: Evidence, published: Published, table_name: str, row: str, name: str
) -> Cell:
    table, place = study.tables[table_name], _place(table_name, row, name)
    column = table.columns[name]
    if row in table.context:
        number = published.number(table.context[row].cells[name], place["id"])
        nothing = _summary(evidence, column, [], [], [], [], {})
        theirs = {**_printed(number), "verdict": None, "quoted": True}
        return Cell(**place, **nothing | {"formula": ""}, **theirs)
    wanted = table.published.get(f"{row}/{name}")
    printed = published.number(wanted, place["id"]) if wanted is not None else None
    found = _measured(study, evidence, row, column)
    return Cell(**place, **found, **_judged(study, column, found, printed))


def _place(table: str, row: str, column: str) -> dict[str, Any]:
    return {"id": f"{table}/{row}/{column}", "table": table, "row": row, "column": column}


def _measured(study: Study, evidence: Evidence, row: str, column: Column) -> dict[str, Any]:
    seeds: list[int] = []
    finetune_seeds: list[int] = []
    values: list[float] = []
    used: list[Measurement] = []
    missing: dict[str, str] = {}
    excluded = study.excluded(row)
    for seed in study.encoders[row].seeds:
        if run_name(row, seed) in excluded:
            continue
        for finetune_seed, names in study.rounds(column).items():
            parts = [evidence.measurement(row, seed, name) for name in names]
            absent = {part.name: part.status for part in parts if part.status != "ok"}
            missing |= absent
            if absent:
                continue
            numbers = [evidence.value(part, column.metric) for part in parts]
            combined = max(numbers) if column.combine == "max" else intervals.mean(numbers)
            seeds.append(seed)
            finetune_seeds += [] if finetune_seed is None else [finetune_seed]
            values.append(100 * combined if column.percent else combined)
            used += parts
    found = _summary(evidence, column, seeds, finetune_seeds, values, used, missing)
    reasons = [f"excluded: {run} ({reason})" for run, reason in excluded.items()]
    return found | {"note": "; ".join(filter(None, [found["note"], *reasons]))}


def _summary(
    evidence: Evidence,
    column: Column,
    seeds: list[int],
    finetune_seeds: list[int],
    values: list[float],
    used: list[Measurement],
    missing: dict[str, str],
) -> dict[str, Any]:
    # The mean over the remaining seeds would be another quantity.
    whole = values if not missing else []
    runs = _by_run(seeds, whole) if whole else []
    means = [intervals.mean(run) for run in runs]
    mean = intervals.mean(means) if means else None
    std = intervals.deviation(means)
    scatter = intervals.nested_scatter(runs)
    interval = intervals.seed_interval(means)
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    boot = _bootstrap(evidence, used, column) if whole else None
    scale = 100 if column.percent else 1
    boot_low, boot_high = (scale * boot.low, scale * boot.high) if boot else (None, None)

    # Deviation, interval and seeds are printed with the mean's precision.
    digits = 1 if column.percent else digits_of(values)

    def show(value: float | None, digits: int = digits) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    # Seeds cannot differ in a count; "± 0" would look like a measurement.
    # Parts of the deviation are compared with each other: one more digit.
    finer = digits + 1
    exact = std == 0.0 and not column.percent
    deviation = f" ± {show(std)}" if std is not None and not exact else ""
    return {
        "value": mean,
        "unit": unit_of(column),
        "n": len(set(seeds)),
        "std": std,
        "std_finetune": scatter.within,
        "std_pretrain": scatter.between,
        "low": low,
        "high": high,
        "boot_low": boot_low,
        "boot_high": boot_high,
        "seeds": seeds,
        "finetune_seeds": finetune_seeds,
        "seed_values": values,
        "parents": [part.record for part in used],
        "parent_ids": [part.record_id for part in used],
        "metric": column.metric,
        "formula": _formula(evidence.study, column),
        "printed": show(mean) + deviation,
        "printed_mean": show(mean),
        "printed_std": show(std),
        "printed_std_finetune": show(scatter.within, finer),
        "printed_std_pretrain": show(scatter.between, finer),
        "printed_low": show(low),
        "printed_high": show(high),
        "printed_boot_low": show(boot_low),
        "printed_boot_high": show(boot_high),
        "printed_seeds": [show(value) for value in values],
        "note": _note(missing),
    }


def _by_run(seeds: list[int], values: list[float]) -> list[list[float]]:
    """Group values by run; the fine-tunings of a run are consecutive."""
    runs: dict[int, list[float]] = {}
    for seed, value in zip(seeds, values, strict=True):
        runs.setdefault(seed, []).append(value)
    return list(runs.values())


def _bootstrap(
    evidence: Evidence, used: list[Measurement], column: Column
) -> intervals.Interval | None:
    """Bootstrap over images; `used` holds the evaluations seed by seed."""
    stored = [evidence.images(part, column.metric) for part in used]
    known = [scores for scores in stored if scores is not None]
    if len(known) < len(used):
        return None
    each = len(column.evaluations) // len(evidence.study.rounds(column))
    by_seed = [known[start : start + each] for start in range(0, len(known), each)]
    return image_bootstrap(by_seed, column.combine)


def _judged(
    study: Study, column: Column, found: dict[str, Any], number: PublishedNumber | None
) -> dict[str, Any]:
    word = None
    if number is not None and number.value is not None:
        word = verdict(
            scale=study.scale,
            mean=found["value"],
            low=found["low"],
            high=found["high"],
            published=number.value,
            margin=number.margin,
            same_epoch=not number.of_another_epoch(column.metric),
        )
    return {**_printed(number), "verdict": word, "quoted": False}


def _printed(number: PublishedNumber | None) -> dict[str, Any]:
    known = number is not None and number.value is not None
    return {
        "published_id": number.id if number is not None else None,
        "published_value": number.value if number is not None else None,
        "published_printed": number.printed if number is not None else None,
        "published_certainty": number.certainty if number is not None else None,
        "published_epoch": number.epoch if number is not None else None,
        "published_margin": number.margin if number is not None and known else None,
    }


def digits_of(values: list[float]) -> int:
    """Compute the decimals that give the largest of `values` three digits."""
    largest = max((abs(value) for value in values), default=0.0)
    return max(2 - math.floor(math.log10(largest)), 0) if largest else 0


def _formula(study: Study, column: Column) -> str:
    rounds = study.rounds(column)
    first = next(iter(rounds.values()))
    names = ", ".join(study.written_name(name) for name in first)
    one = len(first) == 1
    inner = f"{column.metric} in {names}" if one else ""
    inner = inner or f"{column.combine} over {names} of {column.metric}"
    if None not in rounds:
        inner = f"the mean over fine-tuning seeds {', '.join(map(str, rounds))} of {inner}"
    return f"mean over seeds of {inner}" + (", times 100" if column.percent else "")


def _note(missing: dict[str, str]) -> str:
    parts = []
    for status in ("failed", "not run", "not planned", *FOREIGN):
        names = [name for name, found in missing.items() if found == status]
        if names:
            parts.append(f"{status}: {', '.join(names)}")
    return "; ".join(parts)
