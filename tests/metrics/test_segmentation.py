"""Segmentation scores are what their definitions say, and survive the stored file."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.segmentation import (
    confusion_of_image,
    read_confusions,
    scores,
    scores_of_file,
    write_confusions,
)
from tests.faults.table import fault

TRUTH = np.array([[0, 0, 0, 1], [1, 1, 255, 255]])
GUESS = np.array([[0, 0, 1, 1], [1, 0, 0, 1]])


@pytest.mark.parametrize("kind", [np.int64, np.uint8])  # bytes, as images store them
def test_pixels_are_counted_by_true_class_then_guess_and_ignored_ones_are_not(kind):
    assert confusion_of_image(TRUTH.astype(kind), GUESS, 2).tolist() == [[2, 1], [1, 2]]


def test_scores_of_a_small_matrix_are_those_worked_out_by_hand():
    found = scores(np.array([[2, 2], [0, 4]]))

    assert found.iou.tolist() == pytest.approx([2 / 4, 4 / 6])
    assert found.miou == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found.macc == pytest.approx((2 / 4 + 4 / 4) / 2)
    assert found.aacc == pytest.approx(6 / 8)


@fault("Numbers", "a class in no annotation and no prediction", "left out of mIoU")
def test_a_class_nobody_drew_or_guessed_does_not_count():
    found = scores(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))

    assert np.isnan(found.iou[2])
    assert found.miou == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_a_class_that_is_guessed_but_never_true_lowers_the_mean():
    found = scores(np.array([[3, 1], [0, 0]]))

    assert found.miou == pytest.approx((3 / 4 + 0) / 2)
    assert found.macc == pytest.approx(3 / 4)


def test_a_perfect_prediction_scores_one():
    found = scores(confusion_of_image(TRUTH, np.where(TRUTH == 255, 0, TRUTH), 2))

    assert (found.miou, found.macc, found.aacc) == (1.0, 1.0, 1.0)


def test_the_file_gives_the_sum_over_images_and_not_the_mean_of_ratios(tmp_path):
    matrices = np.array([[[8, 0], [0, 0]], [[0, 1], [0, 1]]])
    write_confusions(tmp_path / "p.parquet", ["a", "b"], matrices)

    assert read_confusions(tmp_path / "p.parquet").tolist() == matrices.tolist()
    assert scores_of_file(tmp_path / "p.parquet").aacc == pytest.approx(9 / 10)


@fault("Numbers", "not one annotated pixel to measure on", "refused: there is no score")
def test_a_data_set_without_an_annotated_pixel_has_no_score():
    with pytest.raises(InputError, match="no annotated pixel"):
        scores(np.zeros((2, 2), dtype=np.int64))


@pytest.mark.parametrize(
    ("truth", "guess", "complaint"),
    [
        (3, 0, "annotation: invalid class 3; expected 0 to 2"),
        (0, -1, "prediction: invalid class -1; expected 0 to 2"),
        (-2, 0, "annotation: invalid class -2; expected 0 to 2"),
    ],
)
def test_what_is_no_class_is_named_with_where_it_stands(truth, guess, complaint):
    with pytest.raises(InputError) as refused:
        confusion_of_image(np.array([[0, truth]]), np.array([[1, guess]]), 3)

    assert str(refused.value) == complaint


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31))
def test_scores_of_a_file_are_the_definitions_over_all_its_pixels(tmp_path, classes, count, seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=(count, 3, 4))
    truth[rng.random(truth.shape) < 0.2] = 255
    truth[0, 0, 0] = 0
    guess = rng.integers(classes, size=truth.shape)
    path, keys = tmp_path / "predictions.parquet", [f"val/{number}" for number in range(count)]

    write_confusions(
        path, keys, np.stack(list(map(confusion_of_image, truth, guess, [classes] * count)))
    )

    found, counted = scores_of_file(path), truth != 255
    true, said = truth[counted], guess[counted]
    assert pq.read_table(path)["key"].to_pylist() == keys
    assert found.aacc == pytest.approx((true == said).mean())
    shares = [(true == c)[said == c].sum() / ((true == c) | (said == c)).sum()
              for c in range(classes) if ((true == c) | (said == c)).any()]  # fmt: skip
    assert found.miou == pytest.approx(np.mean(shares))
    assert found.macc == pytest.approx(np.mean([(said == c)[true == c].mean() for c in set(true)]))
