"""The bootstrap draws pictures for all runs at once, and says nothing where no file tells."""

import time

import numpy as np
import pytest

from folk.metrics.classification import write_predictions
from folk.metrics.intervals import wilson_interval
from folk.metrics.segmentation import write_confusions
from folk.metrics.variants import write_variants
from folk.report.pictures import PictureScores, crossed_interval, picture_scores


def scores(right, names="same"):
    terms = np.asarray(right, dtype=np.uint8)[:, None]
    return PictureScores(names, terms, lambda means: means[:, 0])


def right_until(hits, total=1000):
    return np.arange(total) < hits


def test_one_seed_scatters_as_its_pictures_do():
    found = crossed_interval([[scores(right_until(700))]], "mean")

    wilson = wilson_interval(700, 1000)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=0.004)


def test_seeds_that_differ_widen_the_interval():
    alike = crossed_interval([[scores(right_until(700))]] * 3, "mean")
    apart = crossed_interval([[scores(right_until(n))] for n in (600, 700, 800)], "mean")

    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_the_maximum_is_taken_anew_in_each_resample():
    # Two settings, right on opposite halves: whichever half is drawn more often wins.
    half = right_until(500)
    found = crossed_interval([[scores(half), scores(~half)]], "max")

    assert 0.5 <= found.low < found.high < 0.55
    mean = crossed_interval([[scores(half), scores(~half)]], "mean")
    assert (mean.low, mean.high) == pytest.approx((0.5, 0.5))


def test_the_same_predictions_give_the_same_interval():
    runs = [[scores(right_until(700))], [scores(right_until(720))]]

    assert crossed_interval(runs, "mean") == crossed_interval(runs, "mean")


def test_runs_on_different_pictures_are_not_drawn_together():
    assert crossed_interval([[scores([1, 0])], [scores([1, 0], "others")]], "mean") is None
    assert crossed_interval([], "mean") is None


def test_three_seeds_on_all_of_imagenet_take_less_than_two_seconds():
    draw = np.random.default_rng(0)
    runs = [[scores(draw.random(50_000) < 0.8) for _ in range(3)] for _ in range(3)]
    start = time.perf_counter()

    found = crossed_interval(runs, "max")

    assert time.perf_counter() - start < 2.0
    assert 0.79 < found.low < found.high < 0.81


def test_pictures_are_told_by_their_names_and_not_by_their_order(tmp_path):
    logits = np.eye(3)
    write_predictions(
        tmp_path / "predictions.parquet", ["a", "b", "c"], np.array([0, 1, 0]), logits
    )
    found = picture_scores(tmp_path, "top1_last")
    (tmp_path / "predictions.parquet").unlink()
    order = [2, 0, 1]
    write_predictions(
        tmp_path / "predictions.parquet",
        ["c", "a", "b"],
        np.array([0, 1, 0])[[2, 0, 1]],
        logits[order],
    )

    again = picture_scores(tmp_path, "top1_last")

    assert found.terms[:, 0].tolist() == again.terms[:, 0].tolist() == [1, 1, 0]
    assert found.names == again.names


def test_scores_of_a_segmentation_come_from_class_counts(tmp_path):
    confusions = np.array([[[3, 1], [0, 4]], [[2, 0], [2, 2]]])
    write_confusions(tmp_path / "predictions.parquet", ["a", "b"], confusions)

    found = {m: picture_scores(tmp_path, m) for m in ("miou", "macc", "aacc")}

    means = {m: s.value(s.terms.mean(axis=0, keepdims=True))[0] for m, s in found.items()}
    # True 0: 5 of 6 right; true 1: 6 of 8; unions 8 and 9.
    assert means["aacc"] == pytest.approx(11 / 14)
    assert means["macc"] == pytest.approx((5 / 6 + 6 / 8) / 2)
    assert means["miou"] == pytest.approx((5 / 8 + 6 / 9) / 2)


def test_shots_are_averaged_over_their_splits_and_sets_stand_alone(tmp_path):
    right, wrong = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    for name, variants in (
        ("kshot", {"1/0": right, "1/1": wrong, "10/0": wrong}),
        ("variants", {"clean": right, "imagenet-a": wrong}),
    ):
        with write_variants(tmp_path / f"predictions-{name}.parquet") as stored:
            for variant, logits in variants.items():
                stored.add(variant, ["x"], np.array([0]), logits)

    assert picture_scores(tmp_path, "kshot_top1_1").terms.tolist() == [[0.5]]
    assert picture_scores(tmp_path, "kshot_top1_10").terms.tolist() == [[0.0]]
    assert picture_scores(tmp_path, "top1_clean").terms.tolist() == [[1.0]]
    assert picture_scores(tmp_path, "top1_imagenet-a").terms.tolist() == [[0.0]]


@pytest.mark.parametrize("metric", ["top1_best", "images_per_second", "mce_imagenet-c", "num_val"])
def test_what_no_file_tells_picture_by_picture_has_no_bootstrap(tmp_path, metric):
    assert picture_scores(tmp_path, metric) is None
