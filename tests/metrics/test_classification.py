"""Top-k accuracy is what its definition says, and the stored file is enough to recompute it."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.classification import (
    hits,
    read_predictions,
    top_k_accuracy,
    top_k_of_file,
    write_predictions,
)
from tests.faults.table import fault

LOGITS = np.array(
    [
        [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0],  # best to worst: 0 5 4 3 2 | 1 6
        [0.0, 9.0, 2.0, 3.0, 4.0, 5.0, 8.0],  # best to worst: 1 6 5 4 3 | 2 0
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],  # all equal: the lower class first
        [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0],
    ]
)

LABELS = np.array([0, 6, 2, 6])
KEYS = ["a", "b", "c", "d"]


def test_accuracies_of_four_images_are_those_counted_by_hand(tmp_path):
    write_predictions(tmp_path / "p.parquet", KEYS, LABELS, LOGITS)

    found = [top_k_of_file(tmp_path / "p.parquet", k) for k in (1, 2, 3, 5)]

    assert found == [0.25, 0.5, 0.75, 0.75]


def test_equal_scores_rank_the_lower_class_first(tmp_path):
    write_predictions(tmp_path / "p.parquet", KEYS, LABELS, LOGITS)

    _, ranked = read_predictions(tmp_path / "p.parquet")

    assert ranked[2].tolist() == [0, 1, 2, 3, 4]


def test_the_file_has_the_agreed_columns_and_types(tmp_path):
    write_predictions(tmp_path / "p.parquet", KEYS, LABELS, LOGITS)

    schema = pq.read_schema(tmp_path / "p.parquet")

    assert [(field.name, str(field.type)) for field in schema] == [
        ("key", "string"),
        ("label", "int32"),
        ("top5", "fixed_size_list<element: int32>[5]"),
        ("probability", "fixed_size_list<element: float>[5]"),
    ]


def test_probabilities_are_stored_to_two_decimals_in_a_few_bytes_an_image(tmp_path):
    path, count = tmp_path / "p.parquet", 10_000
    logits = np.random.default_rng(0).normal(size=(count, 10)) * 3.0

    write_predictions(path, [f"{n:05}" for n in range(count)], np.arange(count) % 10, logits)

    stored = np.stack(pq.read_table(path)["probability"].to_numpy())
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(stored, -np.sort(-exact, axis=1)[:, :5], rtol=0, atol=0.005001)
    assert path.stat().st_size < 7 * count


@fault("Numbers", "top-5 with fewer than five classes", "all of them are kept: 100 %")
def test_with_three_classes_three_are_kept_and_top_5_is_always_right(tmp_path):
    write_predictions(tmp_path / "p.parquet", ["a"], np.array([1]), np.array([[3.0, 1.0, 2.0]]))

    _, ranked = read_predictions(tmp_path / "p.parquet")

    assert ranked.tolist() == [[0, 2, 1]]
    assert top_k_accuracy(np.array([1]), ranked, 5) == 1.0


def test_top_1_agrees_with_argmax_on_random_scores(tmp_path):
    draw = np.random.default_rng(0)
    logits, labels = draw.normal(size=(300, 11)), draw.integers(0, 11, 300)
    write_predictions(tmp_path / "p.parquet", [str(i) for i in range(300)], labels, logits)

    assert top_k_of_file(tmp_path / "p.parquet") == np.mean(logits.argmax(1) == labels)


@fault("Numbers", "a prediction that is NaN", "refused when it is stored, with its image")
def test_a_score_that_is_not_a_number_is_refused_with_its_image(tmp_path):
    broken = LOGITS.copy()
    broken[1, 2] = np.nan

    with pytest.raises(InputError, match="image 'b'"):
        write_predictions(tmp_path / "p.parquet", KEYS, LABELS, broken)


def test_a_label_outside_the_classes_is_refused_with_its_image(tmp_path):
    with pytest.raises(InputError, match=r"p\.parquet: invalid label 7 of image 'c'; .*0 to 6"):
        write_predictions(tmp_path / "p.parquet", KEYS, np.array([0, 1, 7, 2]), LOGITS)


def test_more_guesses_than_were_stored_are_refused():
    with pytest.raises(InputError, match="top-6"):
        hits(np.array([0]), np.array([[0, 1, 2, 3, 4]]), 6)
