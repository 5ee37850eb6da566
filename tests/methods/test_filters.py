"""Filters draw what they say, from the generator they are given."""

import pytest
import torch

from folk.errors import InputError
from folk.methods.filters.apply import apply_filter, clipped_fraction
from folk.methods.filters.com_rcom import ComRComFilter
from folk.methods.filters.radial import RadialFilter, radial_keep


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_low_and_high_pictures_add_up_before_the_clip():
    pictures = torch.rand(4, 3, 32, 32, generator=seeded())
    low = RadialFilter(16.0)(pictures, seeded())

    total = apply_filter(pictures, low, clamp=False) + apply_filter(pictures, ~low, clamp=False)

    torch.testing.assert_close(total, pictures)


def test_each_picture_is_filtered_by_its_own_mask():
    pictures = torch.rand(2, 3, 32, 32, generator=seeded())
    low = radial_keep((32, 32), 4.0)
    keep = torch.stack([torch.ones_like(low), low])[:, None]

    filtered = apply_filter(pictures, keep)

    torch.testing.assert_close(filtered[0], pictures[0])
    assert (filtered[1] - pictures[1]).abs().max() > 0.05


def test_without_its_mean_colour_a_flat_picture_is_black():
    flat = torch.full((1, 3, 32, 32), 0.5)
    keep = ~radial_keep((32, 32), 1.0)[None, None]

    torch.testing.assert_close(apply_filter(flat, keep), torch.zeros_like(flat))


def test_the_magnitude_of_the_inverse_folds_negative_values_up():
    pictures = torch.rand(2, 3, 32, 32, generator=seeded())
    keep = (~radial_keep((32, 32), 3.0)).expand(2, 1, -1, -1)

    real = apply_filter(pictures, keep, clamp=False)
    folded = apply_filter(pictures, keep, clamp=False, inverse="abs")

    assert (real < 0).any()
    torch.testing.assert_close(folded, real.abs())


def test_about_half_of_a_high_pass_picture_is_clipped_and_little_of_a_low_pass_one():
    pictures = torch.rand(8, 3, 64, 64, generator=seeded())
    low = radial_keep((64, 64), 4.57).expand(8, 1, -1, -1)

    assert 0.4 < clipped_fraction(apply_filter(pictures, ~low, clamp=False)) < 0.6
    assert clipped_fraction(apply_filter(pictures, low, clamp=False)) < 0.05


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_low_pass_is_drawn_with_its_probability(probability):
    pictures = torch.rand(4000, 1, 16, 16, generator=seeded())

    keep = RadialFilter(3.0, probability, radius_size=None)(pictures, seeded())

    keeps_mean_colour = keep[:, 0, 0, 0].float().mean().item()
    assert keeps_mean_colour == pytest.approx(probability, abs=0.03)


def test_each_threshold_is_drawn_a_third_of_the_time():
    pictures = torch.rand(3000, 1, 16, 16, generator=seeded()).expand(-1, 3, -1, -1)

    kept = ComRComFilter(thresholds=(0.05, 0.1, 0.3), p_com=1.0)(pictures, seeded())

    # Half-plane counts of the three are far apart: about 7, 14 and 40.
    counts = kept.sum((1, 2, 3))
    for low, high in ((0, 10), (10, 25), (25, 60)):
        share = ((counts > low) & (counts <= high)).float().mean().item()
        assert share == pytest.approx(1 / 3, abs=0.03)


def test_one_threshold_per_batch_gives_all_pictures_the_same():
    pictures = torch.rand(64, 3, 16, 16, generator=seeded())
    chooses = ComRComFilter(thresholds=(0.05, 0.3), p_com=1.0, threshold_draw="batch")

    keeps_many = [chooses(pictures, seeded(seed)).sum((1, 2, 3)) > 20 for seed in range(8)]

    assert all(batch.all() or not batch.any() for batch in keeps_many)
    assert len({bool(batch[0]) for batch in keeps_many}) == 2


def test_both_views_share_a_threshold_drawn_per_picture_but_not_one_drawn_per_view():
    pictures = torch.rand(64, 3, 16, 16, generator=seeded())

    def differ(draw):
        chooses = ComRComFilter(thresholds=(0.05, 0.3), p_com=1.0, threshold_draw=draw)
        keep_u, keep_v = chooses.draw_pair(pictures, pictures, seeded())
        return (keep_u != keep_v).flatten(1).any(1)

    assert not differ("image").any()
    assert 0.2 < differ("view").float().mean() < 0.8


@pytest.mark.parametrize(
    "chooses",
    [
        RadialFilter(16.0, pairing="one_of_each"),
        ComRComFilter(thresholds=(0.05,), pairing="one_of_each"),
    ],
)
def test_one_of_each_gives_two_views_opposite_masks(chooses):
    pictures = torch.rand(64, 3, 32, 32, generator=seeded())

    keep_u, keep_v = chooses.draw_pair(pictures, pictures, seeded())

    assert torch.equal(keep_u, ~keep_v)
    assert 10 < keep_u[:, 0, 0, 0].sum() < 54


def test_independent_views_agree_about_half_of_the_time():
    pictures = torch.rand(400, 3, 16, 16, generator=seeded())

    keep_u, keep_v = ComRComFilter(thresholds=(0.1,)).draw_pair(pictures, pictures, seeded())

    same = (keep_u == keep_v).flatten(1).all(1).float().mean().item()
    assert same == pytest.approx(0.5, abs=0.1)


def test_smallest_exchanges_com_and_rcom():
    pictures = torch.rand(8, 3, 32, 32, generator=seeded())

    largest = ComRComFilter()(pictures, seeded())
    smallest = ComRComFilter(com_keeps="smallest")(pictures, seeded())

    assert torch.equal(largest, ~smallest)


def test_the_mean_colour_can_be_spared():
    pictures = torch.rand(8, 3, 32, 32, generator=seeded())
    always_rcom = ComRComFilter(p_com=0.0, dc="always_keep")

    assert always_rcom(pictures, seeded())[:, :, 0, 0].all()


def test_colours_share_a_mask_unless_told_otherwise():
    pictures = torch.rand(8, 3, 32, 32, generator=seeded())

    shared = ComRComFilter()(pictures, seeded())
    own = ComRComFilter(thresholds=(0.05,), mask_channels="per_channel")(pictures, seeded())

    assert shared.shape == (8, 1, 32, 17)
    assert own.shape == (8, 3, 32, 17)
    assert (own[:, 0] != own[:, 1]).any()


def test_the_grey_weights_matter():
    pictures = torch.rand(8, 3, 32, 32, generator=seeded())
    masks = [
        ComRComFilter(thresholds=(0.05,), gray=gray)(pictures, seeded())
        for gray in ("bt601", "mean")
    ]

    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize("chooses", [RadialFilter(16.0), ComRComFilter()])
def test_the_same_seed_draws_the_same_masks_and_touches_no_global_state(chooses):
    pictures = torch.rand(16, 3, 32, 32, generator=seeded())
    state = torch.get_rng_state()

    first, second = chooses(pictures, seeded(7)), chooses(pictures, seeded(7))

    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("thresholds", [(), (0.0,), (0.5, 1.0)])
def test_impossible_thresholds_are_refused(thresholds):
    with pytest.raises(InputError, match="thresholds"):
        ComRComFilter(thresholds=thresholds)


def test_pictures_need_not_be_square_nor_even():
    pictures = torch.rand(4, 3, 33, 48, generator=seeded())

    for chooses in (RadialFilter(16.0), ComRComFilter(thresholds=(0.05,))):
        keep = chooses(pictures, seeded())

        assert keep.shape == (4, 1, 33, 25)
        total = apply_filter(pictures, keep, clamp=False) + apply_filter(
            pictures, ~keep, clamp=False
        )
        torch.testing.assert_close(total, pictures)
