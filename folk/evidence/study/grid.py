"""Grids of a study: a row of `encoders` for each combination of named values."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from folk.evidence.core.yaml_model import Document

if TYPE_CHECKING:
    from folk.evidence.study.study import EncoderRow, Study

LARGEST_GRID = 64  # rows


def with_grids(study: "Study") -> "Study":
    """Replace each row that has a grid by its rows, also where tables and evaluations name it."""
    rows = {name: dict(rows_of_grid(name, row)) for name, row in study.encoders.items()}

    def named(names: Iterable[str]) -> list[str]:
        return [made for name in names for made in rows.get(name, [name])]

    changes = {
        "encoders": {name: row for made in rows.values() for name, row in made.items()},
        "evaluations": {
            name: evaluation.model_copy(update={"encoders": named(evaluation.encoders)})
            for name, evaluation in study.evaluations.items()
        },
        "tables": {
            name: table.model_copy(update={"rows": named(table.rows)})
            for name, table in study.tables.items()
        },
    }
    return study.model_copy(update=changes)


def rows_of_grid(name: str, row: "EncoderRow") -> Iterator[tuple[str, "EncoderRow"]]:
    """Yield name and row of each combination of a grid's values; without a grid, the row itself."""
    for choice in itertools.product(*(values.items() for values in row.grid.values())):
        words = [word for word, _ in choice]
        chosen = dict(zip(row.grid, (value for _, value in choice), strict=True))
        changes = {
            "label": ", ".join([row.label, *words]),
            "overrides": {**row.overrides, **chosen},
            "grid": {},
        }
        yield "-".join([name, *words]), row.model_copy(update=changes)


def bad_grid_names(study: "Study", document: Document, longest: int) -> Iterator[str]:
    """Yield the invalid names of rows that grids make; `longest` counts characters."""
    made = {name: [n for n, _ in rows_of_grid(name, row)] for name, row in study.encoders.items()}
    taken = Counter(name for names in made.values() for name in names)
    taken += Counter(name for name, row in study.encoders.items() if row.grid)
    for name, row in study.encoders.items():
        where = document.at("encoders", name, "grid")
        for one in dict.fromkeys(made[name] if row.grid else []):
            if taken[one] > 1:
                yield f"{where}: duplicate name '{one}'; rename one"
            if len(one) > longest:
                yield f"{where}: '{one}' has more than {longest} characters"
