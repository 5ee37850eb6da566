"""Filters draw what they say, from the generator they are given."""

import dataclasses
import math
from typing import get_args

import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.filters.apply import apply_filter, clipped_fraction
from folk.filters.base import FrequencyFilter
from folk.filters.com_rcom import ComRComFilter
from folk.filters.gabor import GaborFilter, gabor_bank
from folk.filters.radial import RadialFilter, radial_keep
from folk.filters.random_frequencies import RandomFilter
from folk.filters.rng import BatchRng
from folk.filters.settings import FilterSettings
from folk.filters.table import FILTERS
from folk.methods.settings import DegradationSettings
from folk.methods.table import DEGRADATIONS
from tests.faults.table import fault


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_image_is_filtered_by_its_own_mask():
    images = torch.rand(2, 3, 32, 32, generator=seeded())
    low = radial_keep((32, 32), 4.0)
    keep = torch.stack([torch.ones_like(low), low])[:, None]

    filtered = apply_filter(images, keep)

    torch.testing.assert_close(filtered[0], images[0])
    assert (filtered[1] - images[1]).abs().max() > 0.05


def test_without_its_mean_color_a_flat_image_is_black():
    flat = torch.full((1, 3, 32, 32), 0.5)
    keep = ~radial_keep((32, 32), 1.0)[None, None]

    torch.testing.assert_close(apply_filter(flat, keep), torch.zeros_like(flat))


def test_the_magnitude_of_the_inverse_folds_negative_values_up():
    images = torch.rand(2, 3, 32, 32, generator=seeded())
    keep = (~radial_keep((32, 32), 3.0)).expand(2, 1, -1, -1)

    real = apply_filter(images, keep, clamp=False)
    folded = apply_filter(images, keep, clamp=False, inverse="abs")

    assert (real < 0).any()
    torch.testing.assert_close(folded, real.abs())


def test_about_half_of_a_high_pass_image_is_clipped_and_little_of_a_low_pass_one():
    images = torch.rand(8, 3, 64, 64, generator=seeded())
    low = radial_keep((64, 64), 4.57).expand(8, 1, -1, -1)

    assert 0.4 < clipped_fraction(apply_filter(images, ~low, clamp=False)) < 0.6
    assert clipped_fraction(apply_filter(images, low, clamp=False)) < 0.05


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_low_pass_is_drawn_with_its_probability(probability):
    images = torch.rand(4000, 1, 16, 16, generator=seeded())

    keep = RadialFilter(3.0, probability, radius_size=None)(images, BatchRng(0, len(images)))

    keeps_mean_color = keep[:, 0, 0, 0].float().mean().item()
    assert keeps_mean_color == pytest.approx(probability, abs=0.03)


def test_each_threshold_is_drawn_a_third_of_the_time():
    images = torch.rand(3000, 1, 16, 16, generator=seeded()).expand(-1, 3, -1, -1)

    kept = ComRComFilter(thresholds=(0.05, 0.1, 0.3), p_com=1.0)(images, BatchRng(0, len(images)))

    # Half-plane counts of the three are far apart: about 7, 14 and 40.
    counts = kept.sum((1, 2, 3))
    for low, high in ((0, 10), (10, 25), (25, 60)):
        share = ((counts > low) & (counts <= high)).float().mean().item()
        assert share == pytest.approx(1 / 3, abs=0.03)


def test_one_threshold_per_batch_gives_all_images_the_same():
    images = torch.rand(64, 3, 16, 16, generator=seeded())
    chooses = ComRComFilter(thresholds=(0.05, 0.3), p_com=1.0, threshold_draw="batch")

    keeps_many = [
        chooses(images, BatchRng(seed, len(images))).sum((1, 2, 3)) > 20 for seed in range(8)
    ]

    assert all(batch.all() or not batch.any() for batch in keeps_many)
    assert len({bool(batch[0]) for batch in keeps_many}) == 2


def test_both_views_share_a_threshold_drawn_per_image_but_not_one_drawn_per_view():
    images = torch.rand(64, 3, 16, 16, generator=seeded())

    def differ(draw):
        chooses = ComRComFilter(thresholds=(0.05, 0.3), p_com=1.0, threshold_draw=draw)
        keep_u, keep_v = chooses.draw_pair(images, images, BatchRng(0, len(images)))
        return (keep_u != keep_v).flatten(1).any(1)

    assert not differ("image").any()
    assert 0.2 < differ("view").float().mean() < 0.8


@pytest.mark.parametrize(
    "chooses",
    [
        RadialFilter(16.0, pairing="one_of_each"),
        GaborFilter(num_chosen=16, pairing="one_of_each"),
        ComRComFilter(thresholds=(0.05,), pairing="one_of_each"),
    ],
)
def test_one_of_each_gives_two_views_opposite_masks(chooses):
    images = torch.rand(64, 3, 32, 32, generator=seeded())

    keep_u, keep_v = chooses.draw_pair(images, images, BatchRng(0, len(images)))

    assert torch.equal(keep_u, ~keep_v)
    assert 10 < keep_u[:, 0, 0, 0].sum() < 54


def test_independent_views_agree_about_half_of_the_time():
    images = torch.rand(400, 3, 16, 16, generator=seeded())

    keep_u, keep_v = ComRComFilter(thresholds=(0.1,)).draw_pair(
        images, images, BatchRng(0, len(images))
    )

    same = (keep_u == keep_v).flatten(1).all(1).float().mean().item()
    assert same == pytest.approx(0.5, abs=0.1)


def test_the_mean_color_can_be_spared():
    images = torch.rand(8, 3, 32, 32, generator=seeded())
    always_rcom = ComRComFilter(p_com=0.0, dc="always_keep")

    assert always_rcom(images, BatchRng(0, len(images)))[:, :, 0, 0].all()


def test_colors_share_a_mask_unless_told_otherwise():
    images = torch.rand(8, 3, 32, 32, generator=seeded())

    shared = ComRComFilter()(images, BatchRng(0, len(images)))
    own = ComRComFilter(thresholds=(0.05,), mask_channels="per_channel")(
        images, BatchRng(0, len(images))
    )

    assert shared.shape == (8, 1, 32, 17)
    assert own.shape == (8, 3, 32, 17)
    assert (own[:, 0] != own[:, 1]).any()


def test_the_gray_weights_matter():
    images = torch.rand(8, 3, 32, 32, generator=seeded())
    masks = [
        ComRComFilter(thresholds=(0.05,), gray=gray)(images, BatchRng(0, len(images)))
        for gray in ("bt601", "mean")
    ]

    assert (masks[0] != masks[1]).any()


ANY_FILTER = [
    RadialFilter(16.0),
    ComRComFilter(thresholds=(0.05,)),
    GaborFilter(),
    RandomFilter(),
]


@pytest.mark.parametrize("chooses", ANY_FILTER)
def test_the_same_seed_draws_the_same_masks_and_touches_no_global_state(chooses):
    images = torch.rand(16, 3, 32, 32, generator=seeded())
    state = torch.get_rng_state()

    first, second = (
        chooses(images, BatchRng(7, len(images))),
        chooses(images, BatchRng(7, len(images))),
    )

    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("makes", [ComRComFilter, RandomFilter])
@pytest.mark.parametrize("thresholds", [(), (0.0,), (0.5, 1.0)])
@fault("Numbers", "thresholds 0 or 1 of Com and RCom, or none", "refused")
def test_impossible_thresholds_are_refused(thresholds, makes):
    with pytest.raises(InputError, match="thresholds"):
        makes(thresholds=thresholds)


@pytest.mark.parametrize("chooses", ANY_FILTER)
def test_images_need_not_be_square_nor_even(chooses):
    images = torch.rand(4, 3, 33, 48, generator=seeded())

    keep = chooses(images, BatchRng(0, len(images)))

    assert keep.shape == (4, 1, 33, 25)
    kept, lost = (apply_filter(images, side, clamp=False) for side in (keep, ~keep))
    torch.testing.assert_close(kept + lost, images)


@pytest.mark.parametrize("chooses", ANY_FILTER)
@pytest.mark.parametrize("size", [(32, 32), (31, 33), (32, 48)])
def test_every_mask_leaves_a_real_image(chooses, size):
    height, width = size
    images = torch.rand(4, 3, height, width, generator=seeded())
    keep = chooses(images, BatchRng(0, len(images)))
    rows = -torch.arange(height) % height
    columns = torch.arange(width // 2 + 1, width)
    plane = torch.cat([keep, keep[..., rows, :][..., -columns % width]], dim=-1)

    filtered = torch.fft.ifft2(torch.fft.fft2(images.double()) * plane)

    assert filtered.imag.abs().max() < 1e-12


def test_a_gabor_filter_answers_to_its_direction_and_band_alone():
    bank = gabor_bank((64, 64), [16.0], orientations=4, octaves=1.0)

    across, diagonal, down, other_diagonal = bank
    assert across[0, 16]
    assert down[16, 0]
    assert diagonal[11, 11]
    assert other_diagonal[-11, 11]
    assert not bank[:, 0, 0].any()
    assert not across[16, 0]
    assert not across[0, 8]  # an octave around 16 ends at 16 (1 - 1 / 3) and 16 (1 + 1 / 3)
    assert [bool(across[0, bin_]) for bin_ in (10, 11, 21, 22)] == [False, True, True, False]


def test_neighboring_gabor_directions_touch_at_the_center_frequency():
    radius = 64 * math.tan(math.pi / 8)
    (across,) = gabor_bank((256, 256), [64.0], orientations=4, octaves=1.0)[:1]

    reach = torch.arange(256)[across[:, 64]]
    assert reach[reach < 128].max() == int(radius)


def test_gabor_filters_are_drawn_anew_for_each_image_and_hidden_or_kept_alone():
    images = torch.rand(64, 3, 32, 32, generator=seeded())

    hidden = GaborFilter(hide_prob=1.0)(images, BatchRng(0, len(images)))
    alone = GaborFilter(hide_prob=0.0)(images, BatchRng(0, len(images)))

    assert hidden[:, 0, 0, 0].all()  # the mean color belongs to no band
    assert not alone[:, 0, 0, 0].any()
    assert len({tuple(mask.flatten().tolist()) for mask in hidden}) > 32
    assert 0.5 < hidden.float().mean() < 0.98


def test_a_gabor_band_scales_with_the_image():
    large = GaborFilter(frequencies=(28.0,), orientations=1, num_chosen=1, hide_prob=0.0)

    kept = large(torch.rand(1, 1, 64, 64), BatchRng(0, 1))[0, 0]

    assert torch.equal(kept, gabor_bank((64, 64), [8.0], orientations=1, octaves=1.0)[0])


def test_more_gabor_filters_than_the_bank_holds_are_refused():
    with pytest.raises(InputError, match=r"num_chosen: 9 of a bank of 8"):
        GaborFilter(orientations=4, frequencies=(8.0, 16.0), num_chosen=9)


def test_every_filter_is_known_by_its_kind_and_shows_its_sides():
    assert {"none", "radial", "com-rcom", "gabor", "random"} == FILTERS.keys()
    images = torch.rand(2, 3, 32, 32, generator=seeded())
    for name, one_sided in [*RadialFilter(16.0).sides(), *GaborFilter().sides()]:
        masks = [
            one_sided(images, BatchRng(seed, len(images)))[0, 0, 0, 0].item() for seed in range(4)
        ]
        assert len(set(masks)) == 1, name


def test_the_sides_of_a_filter_are_itself_with_its_coin_decided():
    chosen = {"thresholds": (0.01, 0.05), "gray": "mean", "dc": "always_keep"}

    assert ComRComFilter(p_com=0.3, **chosen).sides() == [
        (f"{name} {t:g}", ComRComFilter(p_com=p, **chosen | {"thresholds": (t,)}))
        for t in (0.01, 0.05)
        for name, p in (("Com", 1.0), ("RCom", 0.0))
    ]
    assert RadialFilter(9.0, 0.3, radius_outer=12.0).sides() == [
        ("low-pass", RadialFilter(9.0, 1.0, radius_outer=12.0)),
        ("high-pass", RadialFilter(9.0, 0.0, radius_outer=12.0)),
    ]
    assert GaborFilter(num_chosen=2, hide_prob=0.3).sides() == [
        ("Gabor hidden", GaborFilter(num_chosen=2, hide_prob=1.0)),
        ("Gabor kept", GaborFilter(num_chosen=2, hide_prob=0.0)),
    ]
    assert RandomFilter((0.01,), 0.3, "image").sides() == [
        ("random kept 0.01", RandomFilter((0.01,), 1.0, "image")),
        ("random removed 0.01", RandomFilter((0.01,), 0.0, "image")),
    ]


@pytest.mark.parametrize("octaves", [0.5, 1.0, 1.5, 2.5])
def test_the_edges_of_a_gabor_band_are_so_many_octaves_apart(octaves):
    (band,) = gabor_bank((64, 128), [16.0], orientations=1, octaves=octaves)

    lower = 2.0 * 16.0 / (1.0 + 2.0**octaves)  # the band is centered on 16 bins
    columns = torch.arange(65)
    inside = (columns >= lower) & (columns <= lower * 2.0**octaves)
    assert torch.equal(band[0], inside)


def test_two_views_are_masked_one_after_the_other_unless_a_filter_says_otherwise():
    class Coins(FrequencyFilter):
        kind = "coins"

        def __call__(self, images, rng):
            return rng.uniform(1, 4, 3) < images.mean()

    u, v, rng = torch.full((2, 3, 4, 4), 0.3), torch.full((2, 3, 4, 4), 0.9), BatchRng(0, 2)
    expected = rng.uniform(1, 4, 3) < 0.3, rng.uniform(1, 4, 3) < 0.9

    pair = Coins().draw_pair(u, v, BatchRng(0, 2))

    assert all(map(torch.equal, pair, expected))
    ((name, itself),) = Coins().sides()
    assert (name, type(itself)) == ("coins", Coins)


@pytest.mark.parametrize(
    ("settings", "known"), [(FilterSettings, FILTERS), (DegradationSettings, DEGRADATIONS)]
)
def test_a_section_has_the_keys_of_the_class_of_its_kind(settings, known):
    sections = get_args(get_args(settings)[0])
    keys = {
        get_args(section.model_fields["kind"].annotation)[0]: list(section.model_fields)
        for section in sections
    }

    assert keys == {
        kind: ["kind", *(field.name for field in dataclasses.fields(made))]
        for kind, made in known.items()
    }
    assert all(made.kind == kind for kind, made in known.items())
