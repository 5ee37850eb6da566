"""Every number of every table, with what it was made of; nothing else may print a number."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from folk.errors import InputError
from folk.files import whole_file
from folk.metrics import intervals
from folk.metrics.cost import OF_ONE_MACHINE
from folk.report.evidence import Evidence, Measurement
from folk.report.origin import FOREIGN
from folk.report.published import Published, PublishedNumber
from folk.report.verdicts import verdict
from folk.study import Column, Study

SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # table/row/column
        ("table", pa.string()),
        ("row", pa.string()),
        ("column", pa.string()),
        ("value", pa.float64()),  # mean over seeds, in `unit`; null when a run is missing
        ("unit", pa.string()),
        ("n", pa.int64()),  # seeds that gave a number
        ("std", pa.float64()),  # ddof = 1; null for a single seed
        ("low", pa.float64()),  # 95 % t-interval of the mean; null for a single seed
        ("high", pa.float64()),
        ("seeds", pa.list_(pa.int64())),
        ("seed_values", pa.list_(pa.float64())),
        ("parents", pa.list_(pa.string())),  # records this number was made from
        ("parent_ids", pa.list_(pa.string())),  # null where there is no record
        ("metric", pa.string()),
        ("formula", pa.string()),
        ("printed", pa.string()),  # as tables print it; empty when there is no value
        ("printed_mean", pa.string()),
        ("printed_std", pa.string()),
        ("printed_low", pa.string()),
        ("printed_high", pa.string()),
        ("printed_seeds", pa.list_(pa.string())),
        ("published_id", pa.string()),
        ("published_value", pa.float64()),
        ("published_printed", pa.string()),
        ("published_certainty", pa.string()),
        ("published_margin", pa.float64()),
        ("verdict", pa.string()),  # null when nobody published a number for this cell
        ("note", pa.string()),
    ]
)


@dataclass(frozen=True)
class Cell:
    """One number of one table, as a row of cells.parquet; see `SCHEMA`."""

    id: str
    table: str
    row: str
    column: str
    value: float | None
    unit: str
    n: int
    std: float | None
    low: float | None
    high: float | None
    seeds: list[int]
    seed_values: list[float]
    parents: list[str]
    parent_ids: list[str | None]
    metric: str
    formula: str
    printed: str
    printed_mean: str
    printed_std: str
    printed_low: str
    printed_high: str
    printed_seeds: list[str]
    published_id: str | None
    published_value: float | None
    published_printed: str | None
    published_certainty: str | None
    published_margin: float | None
    verdict: str | None
    note: str


def collect_cells(
    study: Study, results: Path, published: Published, *, strict: bool = False
) -> pa.Table:
    """Compute every cell of a study's tables.

    Args:
        study: what the tables are.
        results: the study's own folder, such as `results/demo`.
        published: the numbers that the study's tables name.
        strict: refuse a cell with a missing run instead of leaving it empty.

    Returns:
        one row per cell with the columns of `SCHEMA`, in the order of the study.

    Raises:
        InputError: a file that cannot be read, a metric that is not there, a number that its own
            predictions contradict, a dangling published id or, if `strict`, a missing run.
    """
    evidence = Evidence(study, results)
    cells = list(_cells(study, evidence, published))
    empty = [f"{cell.id} ({cell.note})" for cell in cells if cell.value is None]
    if strict and empty:
        raise InputError(f"{results}: cells without a number: {', '.join(empty)}; run them first")
    return pa.Table.from_pylist([asdict(cell) for cell in cells], schema=SCHEMA)


def write_cells(table: pa.Table, path: Path) -> None:
    """Write cells.parquet, whole or not at all."""
    with whole_file(path) as aside:
        pq.write_table(table, aside)


def read_cells(path: Path) -> list[Cell]:
    """Read cells.parquet.

    Raises:
        InputError: it is missing, unreadable or has other columns.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as cells: {error}; run `report` again") from error
    if not table.schema.equals(SCHEMA):
        raise InputError(f"{path}: its columns are not those of this version; run `report` again")
    return cells_of(table)


def cells_of(table: pa.Table) -> list[Cell]:
    """The rows of a cells table as objects."""
    return [Cell(**row) for row in table.to_pylist()]


def _cells(study: Study, evidence: Evidence, published: Published) -> Iterator[Cell]:
    for table_name, table in study.tables.items():
        for row in table.rows:
            for column_name, column in table.columns.items():
                name = f"{table_name}/{row}/{column_name}"
                wanted = table.published.get(f"{row}/{column_name}")
                if wanted is not None and column.metric in OF_ONE_MACHINE:
                    raise InputError(
                        f"{study.name}: cell '{name}': {column.metric} belongs to one machine, no "
                        f"published number can stand beside it; remove '{wanted}' from the table"
                    )
                number = published.number(wanted, name) if wanted is not None else None
                found = _measured(study, evidence, row, column)
                if number is not None and number.unit != found["unit"]:
                    raise InputError(
                        f"{published.path}: '{number.id}' is in '{number.unit}', cell '{name}' is "
                        f"in '{found['unit']}'; set `percent` of the column or name another number"
                    )
                judged = _judged(study, found, number)
                place: dict[str, Any] = {
                    "id": name,
                    "table": table_name,
                    "row": row,
                    "column": column_name,
                }
                yield Cell(**place, **found, **judged)


def _measured(study: Study, evidence: Evidence, row: str, column: Column) -> dict[str, Any]:
    seeds: list[int] = []
    values: list[float] = []
    used: list[Measurement] = []
    missing: dict[str, str] = {}
    for seed in study.encoders[row].seeds:
        parts = [evidence.measurement(row, seed, name) for name in column.evaluations]
        absent = {part.name: part.status for part in parts if part.status != "ok"}
        missing |= absent
        if absent:
            continue
        numbers = [evidence.value(part, column.metric) for part in parts]
        combined = max(numbers) if column.combine == "max" else intervals.mean(numbers)
        seeds.append(seed)
        values.append(100 * combined if column.percent else combined)
        used += parts
    # The mean over the seeds that happened to survive would be another quantity.
    whole = values if not missing else []
    mean = intervals.mean(whole) if whole else None
    std = intervals.deviation(whole)
    interval = intervals.seed_interval(whole)
    low, high = (interval.low, interval.high) if interval is not None else (None, None)

    # Deviation, interval and seeds are printed as finely as the mean, not finer.
    digits = 1 if column.percent else digits_of(values)

    def show(value: float | None) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    deviation = f" ± {show(std)}" if std is not None else ""
    return {
        "value": mean,
        "unit": "%" if column.percent else "",
        "n": len(values),
        "std": std,
        "low": low,
        "high": high,
        "seeds": seeds,
        "seed_values": values,
        "parents": [part.record for part in used],
        "parent_ids": [part.record_id for part in used],
        "metric": column.metric,
        "formula": _formula(column),
        "printed": show(mean) + deviation,
        "printed_mean": show(mean),
        "printed_std": show(std),
        "printed_low": show(low),
        "printed_high": show(high),
        "printed_seeds": [show(value) for value in values],
        "note": _note(missing),
    }


def _judged(study: Study, found: dict[str, Any], number: PublishedNumber | None) -> dict[str, Any]:
    known = number is not None and number.value is not None
    word = None
    if number is not None and number.value is not None:
        word = verdict(
            scale=study.scale,
            mean=found["value"],
            low=found["low"],
            high=found["high"],
            published=number.value,
            margin=number.margin,
        )
    return {
        "published_id": number.id if number is not None else None,
        "published_value": number.value if number is not None else None,
        "published_printed": number.printed if number is not None else None,
        "published_certainty": number.certainty if number is not None else None,
        "published_margin": number.margin if number is not None and known else None,
        "verdict": word,
    }


def digits_of(values: list[float]) -> int:
    """Decimals that give the largest of `values` three digits."""
    largest = max((abs(value) for value in values), default=0.0)
    return max(2 - math.floor(math.log10(largest)), 0) if largest else 0


def _formula(column: Column) -> str:
    names = ", ".join(column.evaluations)
    one = len(column.evaluations) == 1
    inner = f"{column.metric} in {names}" if one else ""
    inner = inner or f"{column.combine} over {names} of {column.metric}"
    return f"mean over seeds of {inner}" + (", times 100" if column.percent else "")


def _note(missing: dict[str, str]) -> str:
    parts = []
    for status in ("failed", "not run", "not planned", *FOREIGN):
        names = [name for name, found in missing.items() if found == status]
        if names:
            parts.append(f"{status}: {', '.join(names)}")
    return "; ".join(parts)
