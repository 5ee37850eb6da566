"""The search in blocks finds the neighbors that a sort of all similarities finds."""

import numpy as np
import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.knn import knn_votes
from folk.stages import neighbors
from folk.stages.neighbors import nearest
from tests.bench.knn import nearest_by_numpy

CPU = torch.device("cpu")


def unit(features):
    return (features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)).astype(
        np.float32
    )


def sorted_by_numpy(queries, bank, k):
    """All similarities in float64, rounded, and a stable sort: of equal ones the first leads."""
    exact = (unit(queries).astype(np.float64) @ unit(bank).astype(np.float64).T).astype(np.float32)
    places = np.argsort(-exact, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(exact, places, axis=1), places


def signs(rng, rows):
    """Sixteen of +-1: every similarity is a multiple of 1/8, so most are equal to others."""
    return rng.choice([-1.0, 1.0], (rows, 16)).astype(np.float32)


def normal(rng, rows):
    return rng.standard_normal((rows, 16)).astype(np.float32)


def clustered(rng, rows):
    """As of an untrained encoder: nearly one direction; some images are there twice."""
    features = 1.0 + 0.03 * rng.standard_normal((rows, 16)).astype(np.float32)
    features[rows // 2 :: 3] = features[: rows // 2 : 3][: len(features[rows // 2 :: 3])]
    return features


@pytest.fixture(params=[2**22, 900, 40], ids=["one block", "some blocks", "many blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK", request.param)
    monkeypatch.setattr(neighbors, "QUERIES", 30)


@pytest.mark.parametrize("k", [1, 20, 200])
@pytest.mark.parametrize("draw", [signs, normal, clustered])
def test_neighbors_similarities_and_order_are_those_of_a_whole_sort(draw, k, block):
    rng = np.random.default_rng(0)
    bank, queries = draw(rng, 700), draw(rng, 70)

    similarity, places = nearest(queries, bank, k, CPU)

    expected, expected_places = sorted_by_numpy(queries, bank, k)
    np.testing.assert_array_equal(places, expected_places)
    np.testing.assert_array_equal(similarity, expected)


def test_of_equal_images_the_earlier_ones_come_first(block):
    bank = np.tile(np.array([[3.0, 4.0], [4.0, 3.0]], dtype=np.float32), (50, 1))

    similarity, places = nearest(np.array([[1.0, 0.0]], dtype=np.float32), bank, 60, CPU)

    assert places.tolist() == [[*range(1, 100, 2), *range(0, 20, 2)]]
    assert similarity.tolist() == [[np.float32(0.8)] * 50 + [np.float32(0.6)] * 10]


def test_a_bank_sorted_from_the_farthest_to_the_nearest_is_searched_to_its_end(block):
    angles = np.linspace(3.0, 0.1, 500)
    bank = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    _, places = nearest(np.array([[1.0, 0.0]], dtype=np.float32), bank, 5, CPU)

    assert places.tolist() == [[499, 498, 497, 496, 495]]


def test_length_of_features_does_not_matter():
    rng = np.random.default_rng(0)
    bank, queries = normal(rng, 50), normal(rng, 20)

    found, other = nearest(queries, bank, 9, CPU), nearest(0.25 * queries, 8.0 * bank, 9, CPU)

    np.testing.assert_array_equal(found[0], other[0])
    np.testing.assert_array_equal(found[1], other[1])


def test_a_small_bank_is_given_whole():
    rng = np.random.default_rng(0)
    bank = normal(rng, 3)

    similarity, places = nearest(bank, bank, 200, CPU)

    assert similarity.shape == (3, 3)
    assert np.sort(places, axis=1).tolist() == [[0, 1, 2]] * 3


@pytest.mark.parametrize("k", [1, 5, 20])
def test_votes_are_those_of_the_search_by_numpy(k):
    rng = np.random.default_rng(1)
    centers = rng.standard_normal((7, 24))
    labels, truth = rng.integers(0, 7, 600), rng.integers(0, 7, 200)
    bank = unit(centers[labels] + 2.0 * rng.standard_normal((600, 24)))
    queries = unit(centers[truth] + 2.0 * rng.standard_normal((200, 24)))

    similarity, places = nearest(queries, bank, k, CPU)
    found = knn_votes(similarity, labels[places], 0.07, 7)

    similarity, places = nearest_by_numpy(queries, bank, k)
    expected = knn_votes(similarity, labels[places], 0.07, 7)
    np.testing.assert_array_equal(
        np.argsort(-found, axis=1, kind="stable"), np.argsort(-expected, axis=1, kind="stable")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_tf32_is_kept_out_and_the_setting_comes_back(monkeypatch):
    torch.set_float32_matmul_precision("high")
    seen = []
    real = neighbors._candidates

    def watched(*arguments):
        seen.append(torch.get_float32_matmul_precision())
        return real(*arguments)

    monkeypatch.setattr(neighbors, "_candidates", watched)
    try:
        nearest(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 1, CPU)
        assert seen == ["highest"]
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_no_neighbors_are_refused():
    features = np.eye(3, dtype=np.float32)

    with pytest.raises(InputError, match="k >= 1"):
        nearest(features, features, 0, CPU)
    with pytest.raises(InputError, match="no labeled image"):
        nearest(features, features[:0], 5, CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; run `make gpu-check`")
@pytest.mark.parametrize("draw", [signs, normal, clustered])
def test_a_gpu_finds_the_neighbors_that_the_cpu_finds(draw):
    rng = np.random.default_rng(0)
    bank, queries = draw(rng, 5000), draw(rng, 300)

    for found, expected in zip(
        nearest(queries, bank, 20, torch.device("cuda")), nearest(queries, bank, 20, CPU),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(found, expected)
