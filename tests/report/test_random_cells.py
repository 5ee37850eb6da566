"""What holds of every cell, whatever the predictions say."""

import dataclasses
import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folk.evidence.core.errors import InputError
from folk.evidence.results.cells import SCHEMA, Cell, cells_of, derive_cell, read_cells, write_cells
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.published import load_published
from tests.faults.table import fault

HITS = st.integers(0, 190)
NUMBERS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
OF_TYPE = {
    "string": TEXTS,
    "double": NUMBERS,
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "list<item: int64>": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    "list<item: double>": st.lists(NUMBERS, max_size=3),
    "list<item: string>": st.lists(TEXTS, max_size=3),
}


@pytest.fixture(scope="module")
def published():
    from tests.report.conftest import PUBLISHED

    return load_published(PUBLISHED)


@fault(
    "Random",
    "any predictions of two seeds, and a name of a cell that nobody has",
    "the cell is the mean, deviation and interval of what the predictions give, and is derived "
    "again to the same bits; an unknown name is refused with the nearest one",
)
@settings(max_examples=12)
@given(HITS, HITS, TEXTS)
def test_a_cell_is_what_the_predictions_of_its_seeds_give(tree, published, first, second, name):
    for seed, hits in enumerate((first, second)):
        tree.predict(f"finetune/folk-s{seed}/full", hits)

    cell, again = (
        derive_cell(tree.study, Evidence(tree.study, tree.results), published, "finetune/folk/top1")
        for _ in range(2)
    )

    assert cell == again
    assert cell.seed_values == pytest.approx([100 * hits / 200 for hits in (first, second)])
    assert math.isclose(cell.value, (first + second) / 4, abs_tol=1e-9)
    assert math.isclose(cell.std, abs(first - second) / 2 / 2**0.5, abs_tol=1e-9)
    assert cell.low <= cell.value <= cell.high
    # All images alike in all seeds: nothing to draw from; else the bootstrap holds the mean.
    assert cell.boot_low <= cell.value + 1e-9
    assert cell.value <= cell.boot_high + 1e-9
    assert cell.verdict == "not comparable (scale)"
    with pytest.raises(InputError, match="unknown cell"):
        derive_cell(tree.study, Evidence(tree.study, tree.results), published, f"finetune/{name}/?")


def place_of(row):
    return f"{row['table']}/{row['row']}/{row['column']}"


def fitting(row):
    """The row with the id of its place, and lists of one length where they belong together."""
    lists = ("seeds", "seed_values", "printed_seeds"), ("parents", "parent_ids")
    fits = {"id": place_of(row), "finetune_seeds": []}
    for names in lists:
        length = min(len(row[name]) for name in names)
        fits |= {name: row[name][:length] for name in names}
    return row | fits


@given(
    st.lists(
        st.fixed_dictionaries({field.name: OF_TYPE[str(field.type)] for field in SCHEMA}),
        max_size=3,
        unique_by=lambda row: place_of(row),
    ),
    st.lists(st.sampled_from(["value", "std", "low", "published_id", "verdict"])),
)
def test_cells_come_back_from_parquet_as_they_were(tmp_path, rows, empty):
    rows = [fitting(row) | dict.fromkeys(empty) for row in rows]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)

    write_cells(table, tmp_path / "cells.parquet")

    assert [dataclasses.asdict(cell) for cell in read_cells(tmp_path / "cells.parquet")] == rows
    assert cells_of(table) == [Cell(**row) for row in rows]
