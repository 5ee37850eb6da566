"""Predictions for many variants of images go into one file and come back as they were."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.variants import accuracy_of_variants, write_variants

LABELS = np.array([0, 1, 2, 0])
KEYS = ["a", "b", "c", "d"]
SURE = np.eye(3, dtype=np.float32)[LABELS]


def write(path, **variants):
    with write_variants(path) as writer:
        for name, logits in variants.items():
            writer.add(name, KEYS, LABELS, logits)


def test_each_variant_has_its_own_accuracy_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "work/predictions-variants.parquet"
    wrong = SURE.copy()
    wrong[0] = [0.0, 1.0, 0.0]

    write(path, **{"clean": SURE, "imagenet-c/fog-3": wrong, "blank": np.zeros_like(SURE)})

    assert list(accuracy_of_variants(path).items()) == [
        ("clean", 1.0), ("imagenet-c/fog-3", 0.75), ("blank", 0.5)
    ]  # fmt: skip
    table = pq.read_table(path)
    assert table.column_names == ["variant", "key", "label", "predicted"]
    assert table["key"].to_pylist() == 3 * KEYS
    assert table["predicted"].to_pylist()[:2] == [0, 1]


def test_two_variants_of_one_name_are_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "predictions-variants.parquet"

    def twice():
        with write_variants(path) as writer:
            writer.add("clean", KEYS, LABELS, SURE)
            writer.add("clean", KEYS, LABELS, SURE)

    with pytest.raises(InputError, match=r"variants\.parquet: duplicate variant 'clean'"):
        twice()

    assert list(tmp_path.iterdir()) == []


def test_a_score_that_is_no_number_is_refused_with_file_and_key(tmp_path):
    path = tmp_path / "predictions-variants.parquet"
    broken = SURE.copy()
    broken[2, 1] = np.nan

    with pytest.raises(InputError, match=r"predictions-variants\.parquet: .*c"):
        write(path, clean=broken)


def test_a_variant_that_is_read_in_several_parts_is_counted_whole(tmp_path):
    path, count = tmp_path / "predictions-variants.parquet", 70_000  # read by 65,536 rows
    labels = np.zeros(count, dtype=np.int64)
    logits = np.zeros((count, 2), dtype=np.float32)
    logits[::4, 1] = 1.0

    with write_variants(path) as writer:
        writer.add("clean", ["k"] * count, labels, logits)

    assert accuracy_of_variants(path) == {"clean": 0.75}


def test_equal_scores_of_many_classes_rank_the_lower_class_first(tmp_path):
    path = tmp_path / "predictions-variants.parquet"
    logits = np.random.default_rng(0).integers(3, size=(2, 1000)).astype(np.float32)

    with write_variants(path) as writer:
        writer.add("clean", ["k", "l"], np.array([0, 1]), logits)

    best = [int(np.flatnonzero(row == 2.0)[0]) for row in logits]
    assert pq.read_table(path)["predicted"].to_pylist() == best
