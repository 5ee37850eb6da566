"""k-shot: few labels, drawn alike for every encoder, and a regression that is the stated one."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.kshot import draw_shots, kshot_metrics, logistic_scores, prepared
from folk.evidence.results.metrics.variants import write_variants
from tests.faults.table import fault

SETTINGS = {"weight_decay": 0.1, "center": "feature", "max_iterations": 500, "tolerance": 1e-8}


def clusters(count=30, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return rng.normal(size=(classes, 8))[labels] * 2 + rng.normal(size=(count, 8)), labels


def test_each_class_gives_k_images_and_one_lies_in_two_in_five():
    labels = np.repeat([0, 1, 2], [10, 7, 5])

    chosen = draw_shots(labels, [1, 2, 5], seed=3)

    for k, places in chosen.items():
        assert np.bincount(labels[places]).tolist() == [k, k, k]
    assert set(chosen[1]) < set(chosen[2]) < set(chosen[5])
    assert chosen[5].tolist() == draw_shots(labels, [5], seed=3)[5].tolist()
    assert chosen[5].tolist() != draw_shots(labels, [5], seed=4)[5].tolist()


@fault("Numbers", "k-shot with a class of fewer than k images", "refused, by class")
def test_too_few_labels_are_refused():
    with pytest.raises(InputError, match=r"expected 5 .*, got 3 of class 1"):
        draw_shots(np.array([0] * 9 + [1] * 3), [1, 5], seed=0)


def test_the_minimum_is_that_of_the_stated_objective():
    features, labels = clusters()
    known, asked = prepared(features[:20], features[20:], "feature")

    def objective(flat):
        weights = flat.reshape(3, 8)
        losses = -log_softmax(known @ weights.T, axis=1)[np.arange(20), labels[:20]]
        return losses.mean() + 0.1 / 20 * (flat**2).sum() / 2

    best = minimize(objective, np.zeros(24), options={"gtol": 1e-9}).x.reshape(3, 8)
    scores = logistic_scores(features[:20], labels[:20], features[20:], num_classes=3, **SETTINGS)

    np.testing.assert_allclose(scores, asked @ best.T, atol=1e-3)


@fault("Numbers", "k-shot with a class that no labeled image has", "never named")
def test_a_class_that_is_not_labeled_is_never_named():
    features, labels = clusters()

    two = logistic_scores(features[:20], labels[:20] % 2, features[20:], num_classes=5, **SETTINGS)

    assert two.shape == (10, 5)
    assert two.argmax(axis=1).max() <= 1


def test_scale_of_a_feature_vector_does_not_matter():
    features, labels = clusters()
    stretched = features * np.linspace(0.5, 9.0, 30)[:, None]

    plain, scaled = (
        logistic_scores(f[:20], labels[:20], f[20:], num_classes=3, **SETTINGS)
        for f in (features, stretched)
    )

    np.testing.assert_allclose(plain, scaled, atol=1e-4)


def test_centering_by_image_is_cyanures_own_mean_off_then_unit_length():
    # By hand: (1, 2, 6) has mean 3 and becomes (-2, -1, 3) / sqrt(14), at any scale and shift.
    seen = np.array([[1.0, 2.0, 6.0], [6.0, 5.0, 1.0]])

    known, asked = prepared(seen, 10.0 * seen[:1] + 7.0, "image")

    np.testing.assert_allclose(known, [[-2, -1, 3], [2, 1, -3]] / np.sqrt(14.0))
    np.testing.assert_allclose(asked, known[:1])


def test_centering_by_feature_takes_the_mean_of_the_labeled_images_off_all():
    features, _ = clusters()

    known, asked = prepared(features[:20], features[20:], "feature")

    np.testing.assert_allclose(known.mean(axis=0), 0.0, atol=1e-12)
    assert abs(asked.mean(axis=0)).max() > 1e-3


def test_a_feature_without_direction_is_refused():
    with pytest.raises(InputError, match="feature 1 is zero"):
        prepared(np.array([[1.0, 0.0], [0.0, 0.0]]), np.ones((1, 2)), "feature")
    with pytest.raises(InputError, match="feature 0 is zero"):  # nothing is left after centering
        prepared(np.ones((1, 2)), np.array([[1.0, 0.0]]), "image")


def test_the_metric_is_the_mean_over_splits(tmp_path):
    right, wrong = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    with write_variants(tmp_path / "p.parquet") as predictions:
        predictions.add("1/0", ["x"], np.array([0]), right)
        predictions.add("1/1", ["x"], np.array([0]), wrong)
        predictions.add("5/0", ["x"], np.array([0]), right)

    assert kshot_metrics(tmp_path / "p.parquet") == {"kshot_top1_1": 0.5, "kshot_top1_5": 1.0}
