"""The bootstrap draws images for all runs at once, and is absent where no file tells them."""

import time

import numpy as np
import pytest
import scipy.stats

from folk.evidence.results.bootstrap import image_bootstrap
from folk.evidence.results.evidence import image_scores
from folk.evidence.results.metrics.classification import write_predictions
from folk.evidence.results.metrics.image_scores import ImageScores
from folk.evidence.results.metrics.intervals import seed_interval
from folk.evidence.results.metrics.segmentation import write_confusions
from folk.evidence.results.metrics.variants import write_variants
from folk.stages.table import STAGES


def scores(right, names="same"):
    terms = np.asarray(right, dtype=np.uint8)[:, None]
    return ImageScores(names, terms, lambda means: means[:, 0])


def right_until(hits, total=1000):
    return np.arange(total) < hits


def test_one_seed_scatters_as_its_images_do():
    found = image_bootstrap([[scores(right_until(700))]], "mean")

    wilson = scipy.stats.binomtest(700, 1000).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=0.004)


def test_seeds_are_held_fixed_however_much_they_differ():
    alike = image_bootstrap([[scores(right_until(700))]] * 3, "mean")
    apart = image_bootstrap([[scores(right_until(n))] for n in (690, 700, 710)], "mean")

    assert (apart.low, apart.high) == pytest.approx((alike.low, alike.high), abs=0.004)


REPLICATES, IMAGES, SEED_SPREAD = 1000, 400, 0.2


def right_or_wrong(draw, hardness, skill):
    """Each classifier sees each image anew, and all agree on which images are hard."""
    luck = draw.normal(size=(len(skill), len(hardness)))
    return hardness + luck < np.asarray(skill)[:, None]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.slow
def test_95_of_100_bootstraps_hold_the_accuracy_of_these_classifiers_on_all_images(seeds):
    draw = np.random.default_rng(seeds)
    held = 0
    for _ in range(REPLICATES):
        skill = draw.normal(1.0, SEED_SPREAD, size=seeds)
        seen = right_or_wrong(draw, draw.normal(size=IMAGES), skill)
        found = image_bootstrap([[scores(right)] for right in seen], "mean")
        # hardness + luck is normal with variance 2.
        held += found.low <= scipy.stats.norm.cdf(skill / 2**0.5).mean() <= found.high

    assert 0.92 <= held / REPLICATES <= 0.97


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_95_of_100_t_intervals_hold_the_mean_over_all_seeds_on_these_images(seeds):
    draw = np.random.default_rng(seeds)
    held = 0
    for _ in range(REPLICATES):
        hardness = draw.normal(size=IMAGES)
        skill = draw.normal(1.0, SEED_SPREAD, size=seeds)
        found = seed_interval(right_or_wrong(draw, hardness, skill).mean(axis=1).tolist())
        spread = (1.0 + SEED_SPREAD**2) ** 0.5
        mean_of_all = scipy.stats.norm.cdf((1.0 - hardness) / spread).mean()
        held += found.low <= mean_of_all <= found.high

    assert 0.93 <= held / REPLICATES <= 0.97


def test_the_maximum_is_taken_anew_in_each_resample():
    # Two settings, right on opposite halves: whichever half is drawn more often wins.
    half = right_until(500)
    found = image_bootstrap([[scores(half), scores(~half)]], "max")

    assert 0.5 <= found.low < found.high < 0.55
    mean = image_bootstrap([[scores(half), scores(~half)]], "mean")
    assert (mean.low, mean.high) == pytest.approx((0.5, 0.5))


def test_the_same_predictions_give_the_same_interval():
    runs = [[scores(right_until(700))], [scores(right_until(720))]]

    assert image_bootstrap(runs, "mean") == image_bootstrap(runs, "mean")


def test_runs_on_different_images_are_not_drawn_together():
    assert image_bootstrap([[scores([1, 0])], [scores([1, 0], "others")]], "mean") is None
    assert image_bootstrap([], "mean") is None


def test_three_seeds_on_all_of_imagenet_take_less_than_two_seconds():
    draw = np.random.default_rng(0)
    runs = [[scores(draw.random(50_000) < 0.8) for _ in range(3)] for _ in range(3)]
    start = time.perf_counter()

    found = image_bootstrap(runs, "max")

    assert time.perf_counter() - start < 2.0
    assert 0.79 < found.low < found.high < 0.81


def test_images_are_told_by_their_names_and_not_by_their_order(tmp_path):
    logits = np.eye(3)
    write_predictions(
        tmp_path / "predictions.parquet", ["a", "b", "c"], np.array([0, 1, 0]), logits
    )
    found = image_scores(STAGES["finetune"], tmp_path, "top1_last")
    (tmp_path / "predictions.parquet").unlink()
    order = [2, 0, 1]
    write_predictions(
        tmp_path / "predictions.parquet",
        ["c", "a", "b"],
        np.array([0, 1, 0])[[2, 0, 1]],
        logits[order],
    )

    again = image_scores(STAGES["finetune"], tmp_path, "top1_last")

    assert found.terms[:, 0].tolist() == again.terms[:, 0].tolist() == [1, 1, 0]
    assert found.names == again.names


def test_scores_of_a_segmentation_come_from_class_counts(tmp_path):
    confusions = np.array([[[3, 1], [0, 4]], [[2, 0], [2, 2]]])
    write_confusions(tmp_path / "predictions.parquet", ["a", "b"], confusions)

    found = {m: image_scores(STAGES["segment"], tmp_path, m) for m in ("miou", "macc", "aacc")}

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

    assert image_scores(STAGES["probe"], tmp_path, "kshot_top1_1").terms.tolist() == [[0.5]]
    assert image_scores(STAGES["probe"], tmp_path, "kshot_top1_10").terms.tolist() == [[0.0]]
    assert image_scores(STAGES["robustness"], tmp_path, "top1_clean").terms.tolist() == [[1.0]]
    assert image_scores(STAGES["robustness"], tmp_path, "top1_imagenet-a").terms.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("stage", "metric"),
    [
        ("finetune", "top1_best"),
        ("cost", "images_per_second"),
        ("robustness", "mce_imagenet-c"),
        ("segment", "num_val"),
    ],
)
def test_what_no_file_tells_image_by_image_has_no_bootstrap(tmp_path, stage, metric):
    assert image_scores(STAGES[stage], tmp_path, metric) is None
