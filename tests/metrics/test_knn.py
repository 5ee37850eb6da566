"""k-NN votes as the DINO protocol says, however many images are compared at once."""

import numpy as np
import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics import knn
from folk.evidence.results.metrics.knn import knn_metrics, knn_votes
from folk.evidence.results.metrics.variants import write_variants
from folk.stages.neighbors import nearest
from tests.faults.table import fault


def class_scores(train, labels, test, k, temperature, num_classes=5):
    similarity, places = nearest(test, train, k, torch.device("cpu"))
    return knn_votes(similarity, labels[places], temperature, num_classes)


def votes_one_by_one(train, labels, test, k, temperature, num_classes):
    """The published rule, image by image: sum of exp(cosine / T) over the k nearest."""
    result = np.zeros((len(test), num_classes))
    for row, feature in enumerate(test):
        cosines = [feature @ t / np.linalg.norm(feature) / np.linalg.norm(t) for t in train]
        for index in np.argsort(cosines)[::-1][:k]:
            result[row, labels[index]] += np.exp(cosines[index] / temperature)
    return result


@pytest.fixture
def features():
    draw = np.random.default_rng(0)
    train, test = draw.normal(size=(60, 8)), draw.normal(size=(25, 8))
    return train, draw.integers(0, 5, 60), test


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (20, 1.0), (60, 0.2)])
def test_votes_equal_the_published_rule(features, k, temperature):
    train, labels, test = features

    found = class_scores(train, labels, test, k, temperature, 5)

    expected = votes_one_by_one(train, labels, test, k, temperature, 5)
    voted = expected > 0
    np.testing.assert_allclose(found[voted], np.log(expected[voted]), rtol=1e-4, atol=1e-4)
    assert (found[~voted] < np.log(expected[voted].min())).all()


def test_length_of_features_does_not_matter(features):
    train, labels, test = features

    found = class_scores(7.0 * train, labels, 0.1 * test, 20, 0.07)

    np.testing.assert_allclose(found, class_scores(train, labels, test, 20, 0.07), atol=1e-4)


def test_blocks_give_the_same_votes_as_one_piece(features, monkeypatch):
    train, labels, test = features
    whole = class_scores(train, labels, test, 20, 0.07)

    monkeypatch.setattr(knn, "BLOCK_VOTES", 3 * 5)

    np.testing.assert_allclose(whole, class_scores(train, labels, test, 20, 0.07), rtol=1e-5)


def test_an_image_finds_its_own_copy_first(features):
    train, labels, _ = features

    found = class_scores(train, labels, train, 1, 0.07)

    assert (found.argmax(axis=1) == labels).all()


def test_a_tiny_temperature_neither_overflows_nor_hides_the_nearest(features):
    train, labels, test = features

    found = class_scores(train, labels, test, 20, 1e-4)

    assert np.isfinite(found).all()
    np.testing.assert_array_equal(
        found.argmax(axis=1), class_scores(train, labels, test, 1, 0.07).argmax(axis=1)
    )


def test_of_equal_neighbors_the_first_ones_vote():
    train = np.ones((4, 2))

    found = class_scores(train, np.array([2, 0, 1, 1]), np.ones((1, 2)), 1, 0.07)

    assert found.argmax() == 2


@fault("Numbers", "a feature of zeros", "refused: k-NN needs a direction")
def test_a_feature_of_zeros_is_refused(features):
    train, labels, test = features
    test[3] = 0.0

    with pytest.raises(InputError, match="test feature 3"):
        class_scores(train, labels, test, 5, 0.07)


def test_no_temperature_is_refused():
    with pytest.raises(InputError, match="temperature > 0"):
        knn_votes(np.ones((1, 1)), np.zeros((1, 1), dtype=int), 0.0, 1)


def test_votes_of_a_smaller_k_are_those_of_the_first_of_more_neighbors(features):
    train, labels, test = features
    train = np.concatenate([train, train, train])  # every neighbor is there three times
    labels = np.concatenate([labels, (labels + 1) % 5, (labels + 2) % 5])
    similarity, places = nearest(test, train, 500, torch.device("cpu"))

    for k in (20, 1, 7, 500):
        scores = knn_votes(similarity[:, :k], labels[places[:, :k]], 0.07, 5)
        np.testing.assert_array_equal(scores, class_scores(train, labels, test, k, 0.07))


def test_stored_votes_tell_their_k(features, tmp_path):
    train, labels, test = features
    truth = np.arange(25) % 5
    keys = [f"val/{i}" for i in range(25)]
    found = {k: class_scores(train, labels, test, k, 0.07) for k in (1, 20)}
    with write_variants(tmp_path / "predictions-knn.parquet") as predictions:
        for k, scores in found.items():
            predictions.add(str(k), keys, truth, scores)

    metrics = knn_metrics(tmp_path / "predictions-knn.parquet")

    assert metrics == {
        f"knn_top1_k{k}": (s.argmax(axis=1) == truth).mean() for k, s in found.items()
    }
