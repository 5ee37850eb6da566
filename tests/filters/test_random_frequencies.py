"""Random masks have the size of Com's, cover all frequencies alike and see no image."""

import pytest
import torch

from folk.filters.random_frequencies import RandomFilter
from folk.filters.rng import BatchRng
from tests.conformance.test_masks import full_plane


def images(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=generator)


def whole_masks(chooses, count, size, seed=0):
    """Masks of the full plane, [count, size, size]."""
    return full_plane(chooses(images(count, size), BatchRng(seed, count)), size)[:, 0]


@pytest.mark.parametrize(
    ("fraction", "counts"), [(0.005, {249, 250}), (0.01, {500, 501}), (0.05, {2507, 2508})]
)
def test_as_many_coefficients_are_chosen_at_224_px_as_com_keeps(fraction, counts):
    few = whole_masks(RandomFilter((fraction,), p_few=1.0), 16, 224)
    rest = whole_masks(RandomFilter((fraction,), p_few=0.0), 16, 224)

    # Pairs make it even; the mean color and three others have no partner and may make it odd.
    assert set(few.sum((1, 2)).tolist()) <= counts
    assert torch.equal(few, ~rest)


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_the_few_are_kept_with_their_probability(probability):
    masks = whole_masks(RandomFilter((0.1,), probability), 4000, 8)

    keeps_few = masks.float().mean((1, 2)) < 0.5
    assert keeps_few.float().mean().item() == pytest.approx(probability, abs=0.03)


def test_each_threshold_is_drawn_a_third_of_the_time():
    counts = whole_masks(RandomFilter((0.05, 0.2, 0.6), 1.0), 3000, 16).sum((1, 2))

    for nominal in (13, 52, 154):
        share = ((counts - nominal).abs() <= 2).float().mean().item()
        assert share == pytest.approx(1 / 3, abs=0.03)


def test_a_mask_does_not_depend_on_the_image():
    chooses = RandomFilter()

    first, second = (chooses(images(8, 32, seed), BatchRng(5, 8)) for seed in (0, 1))

    assert torch.equal(first, second)


@pytest.mark.parametrize("size", [8, 9])
def test_every_frequency_is_chosen_equally_often(size):
    num_masks = 20_000
    share = whole_masks(RandomFilter((0.25,), 1.0), num_masks, size).float().mean(0)

    is_pair = torch.ones(size, size, dtype=torch.bool)
    own = torch.tensor([0, size // 2] if size % 2 == 0 else [0])
    is_pair[own[:, None], own] = False
    error = (share.mean() * (1 - share.mean()) / num_masks).sqrt()
    assert (share - share[is_pair].mean())[is_pair].abs().max() < 5 * error
    # A coefficient that is its own partner also fits where one place is left.
    assert (share - share[is_pair].mean()).abs().max() < 1 / size**2 + 5 * error


def test_two_views_and_two_images_get_coefficients_of_their_own():
    chooses = RandomFilter((0.1,), p_few=1.0)
    both = images(64, 32)

    keep_u, keep_v = (
        full_plane(keep, 32)[:, 0].flatten(1).float()
        for keep in chooses.draw_pair(both, both, BatchRng(0, 64))
    )

    # Independent choices of a tenth share a hundredth of all coefficients.
    for one, other in ((keep_u, keep_v), (keep_u, keep_u.roll(1, 0)), (keep_v, keep_v.roll(1, 0))):
        assert (one * other).mean().item() == pytest.approx(0.01, abs=0.002)


def test_views_that_always_differ_keep_the_few_in_one_and_remove_them_in_the_other():
    chooses = RandomFilter((0.1,), pairing="one_of_each")
    both = images(64, 16)

    few_u, few_v = (
        keep.float().mean((1, 2, 3)) < 0.5
        for keep in chooses.draw_pair(both, both, BatchRng(0, 64))
    )

    assert torch.equal(few_u, ~few_v)
    assert 10 < few_u.sum() < 54


@pytest.mark.parametrize(
    ("draw", "differing"), [("view", True), ("image", False), ("batch", False)]
)
def test_two_views_share_a_threshold_unless_it_is_drawn_per_view(draw, differing):
    chooses = RandomFilter((0.1, 0.5), 1.0, draw)
    both = images(64, 16)

    many_u, many_v = (
        keep.float().mean((1, 2, 3)) > 0.3
        for keep in chooses.draw_pair(both, both, BatchRng(0, 64))
    )

    assert bool((many_u != many_v).any()) == differing
    assert (len(set(many_u.tolist())) == 1) == (draw == "batch")
