"""Stored predictions whose columns are damaged."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.classification import (
    read_predictions,
    top_k_of_images,
)
from folk.evidence.results.metrics.columns import read_columns
from folk.evidence.results.metrics.variants import accuracy_of_variants, scores_of_variants

COLUMNS = {
    "key": pa.array(["a", "b"]),
    "variant": pa.array(["20", "20"]),
    "label": pa.array([0, 1]),
    "predicted": pa.array([0, 1]),
    "top5": pa.array([[0, 1], [1, 0]], pa.list_(pa.int32(), 2)),
    "probability": pa.array([[0.5, 0.5], [1.0, 0.0]], pa.list_(pa.float32(), 2)),
}


def read_all(path):
    read_columns(path, ["key", "variant"])
    read_predictions(path)
    top_k_of_images(path, "top1_last")
    accuracy_of_variants(path)
    scores_of_variants(path, lambda name: True)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    "damaged",
    [
        pa.array([7.5, 8.5]),
        pa.array([b"\xff", b"b"]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([["20"], ["20", "a"]]),
        pa.array([[0, None], [1, 0]], pa.list_(pa.int32(), 2)),
        None,
    ],
    ids=["number", "binary", "struct", "list", "null in a list", "null"],
)
def test_a_column_of_another_type_or_with_a_null_is_an_error_of_the_file(tmp_path, name, damaged):
    whole = COLUMNS[name]
    if damaged is None:
        damaged = pa.array([whole[0].as_py(), None], whole.type)
    pq.write_table(pa.table(COLUMNS), tmp_path / "p.parquet")
    read_all(tmp_path / "p.parquet")
    pq.write_table(pa.table(COLUMNS | {name: damaged}), tmp_path / "p.parquet")

    with pytest.raises(InputError, match=r"p.parquet: invalid predictions: "):
        read_all(tmp_path / "p.parquet")


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_that_is_there_twice_or_not_at_all_is_an_error_of_the_file(tmp_path, name):
    table = pa.table(COLUMNS)
    twice = table.append_column(name, COLUMNS[name])
    for changed, count in ((twice, 2), (table.drop_columns(name), 0)):
        pq.write_table(changed, tmp_path / "p.parquet")
        with pytest.raises(InputError, match=rf"expected one column '{name}', got {count}"):
            read_all(tmp_path / "p.parquet")
