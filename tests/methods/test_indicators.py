"""Signs of a collapse have known values where all images look alike, and where none do."""

import math

import pytest
import torch

from folk.methods.indicators import feature_std, teacher_entropies


def test_directions_without_preference_have_a_feature_std_of_one():
    features = 7.0 * torch.randn(4096, 64, generator=torch.Generator().manual_seed(0))

    assert float(feature_std(features)["feature_std"]) == pytest.approx(1.0, abs=0.01)


def test_equal_features_have_a_feature_std_of_zero_whatever_their_length():
    features = torch.tensor([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4]])

    assert float(feature_std(features)["feature_std"]) == pytest.approx(0.0, abs=1e-6)


def test_opposite_features_have_the_deviation_of_their_signs():
    # Each number is +-1/sqrt(2), twice each: deviation sqrt(4 / 3 / 2), times sqrt(2).
    features = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]).repeat(2, 1)

    assert float(feature_std(features)["feature_std"]) == pytest.approx(math.sqrt(4 / 3))


def test_a_single_image_has_no_deviation():
    assert feature_std(torch.ones(1, 8)) == {}


def entropies(logits, temperature=1.0):
    found = teacher_entropies(logits, torch.zeros(logits.shape[1]), temperature)
    return [float(found[f"teacher_entropy{of}"]) for of in ("", "_of_mean")]


def test_a_teacher_without_a_favorite_prototype_has_both_entropies_at_log_k():
    assert entropies(torch.zeros(3, 8)) == pytest.approx([math.log(8)] * 2)


def test_a_teacher_with_the_same_favorite_for_all_images_has_both_entropies_at_zero():
    logits = torch.zeros(3, 8)
    logits[:, 5] = 1.0

    assert entropies(logits, 0.01) == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_sharp_teacher_that_uses_all_prototypes_has_only_the_mean_at_log_k():
    assert entropies(torch.eye(8), 0.01) == pytest.approx([0.0, math.log(8)], abs=1e-6)


def test_the_center_takes_a_common_favorite_away():
    logits = torch.zeros(3, 8)
    logits[:, 5] = 1.0

    found = teacher_entropies(logits, logits[0], 0.01)

    assert float(found["teacher_entropy"]) == pytest.approx(math.log(8))
