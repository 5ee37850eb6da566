"""What holds of every mask, whatever the image, its size and the rng."""

import dataclasses
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from folk.filters.apply import apply_filter
from folk.filters.com_rcom import BT601, ComRComFilter
from folk.filters.gabor import GaborFilter
from folk.filters.radial import RadialFilter, radial_keep
from folk.filters.random_frequencies import RandomFilter
from folk.filters.rng import BatchRng
from tests.conformance.test_masks import full_plane
from tests.faults.table import fault

SIDES = st.integers(3, 13)
SEEDS = st.integers(0, 2**31)
THRESHOLDS = st.floats(0.01, 0.99)


_choices = st.sampled_from


def _made(kind, **attributes):
    """How to make a filter; made in the test itself, because its checks draw numbers too."""
    return st.fixed_dictionaries(attributes).map(lambda chosen: partial(kind, **chosen))


INFORMED = _made(
    ComRComFilter,
    thresholds=st.lists(THRESHOLDS, min_size=1, max_size=3).map(tuple),
    p_com=st.floats(0.0, 1.0),
    threshold_mode=_choices(["fraction", "relative_max"]),
    threshold_draw=_choices(["view", "image", "batch"]),
    pairing=_choices(["independent", "one_of_each"]),
    gray=_choices(["bt601", "mean"]),
    mask_channels=_choices(["shared", "per_channel"]),
    dc=_choices(["by_magnitude", "always_keep"]),
)
RADIAL = _made(
    RadialFilter,
    radius=st.floats(0.5, 9.0),
    low_pass_prob=st.floats(0.0, 1.0),
    radius_size=st.none() | st.integers(4, 32),
    radius_outer=st.none() | st.floats(0.5, 12.0),
    pairing=_choices(["independent", "one_of_each"]),
)
GABOR = _made(
    GaborFilter,
    orientations=st.integers(1, 4),
    frequencies=_choices([(2.0,), (2.0, 4.0)]),
    octaves=st.floats(0.5, 2.0),
    num_chosen=st.just(1),
    hide_prob=st.floats(0.0, 1.0),
    radius_size=st.none() | st.just(16),
)
RANDOM = _made(
    RandomFilter,
    thresholds=st.lists(THRESHOLDS, min_size=1, max_size=3).map(tuple),
    p_few=st.floats(0.0, 1.0),
    threshold_draw=_choices(["view", "image", "batch"]),
    pairing=_choices(["independent", "one_of_each"]),
)
ANY = INFORMED | RADIAL | GABOR | RANDOM


def random_images(height, width, seed, count=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator, dtype=torch.float64)


@fault(
    "Random",
    "any filter with any attributes, on images of any size and any draws",
    "whatever a mask keeps it keeps of both partners of a conjugate pair, so what the student sees "
    "is a real image, and removes the rest alone",
)
@given(ANY, SIDES, SIDES, SEEDS)
def test_a_mask_keeps_both_partners_of_a_pair_and_leaves_a_real_image(makes, high, wide, seed):
    chooses, images = makes(), random_images(high, wide, seed)

    for keep in (
        chooses(images, BatchRng(seed, 3)),
        *chooses.draw_pair(images, images, BatchRng(seed, 3)),
    ):
        whole = full_plane(keep, wide)
        rows, columns = -torch.arange(high) % high, -torch.arange(wide) % wide
        assert torch.equal(whole, whole[..., rows, :][..., columns])
        direct = torch.fft.ifft2(torch.fft.fft2(images) * whole)
        assert direct.imag.abs().max() < 1e-9
        torch.testing.assert_close(apply_filter(images, keep, clamp=False), direct.real)


@given(INFORMED, SIDES, SIDES, SEEDS)
def test_com_and_rcom_complement_each_other(makes, high, wide, seed):
    chooses, images = makes(), random_images(high, wide, seed)
    com, rcom = (
        dataclasses.replace(chooses, p_com=p)(images, BatchRng(seed, 3)) for p in (1.0, 0.0)
    )

    both = com & rcom
    assert (com | rcom).all()
    if chooses.dc == "always_keep":
        assert both[:, :, 0, 0].all()
        both[:, :, 0, 0] = False
    assert not both.any()


@given(SIDES, SIDES, SEEDS, THRESHOLDS)
def test_com_keeps_what_the_full_plane_ranks_above_its_threshold(high, wide, seed, fraction):
    images = random_images(high, wide, seed)
    keep = ComRComFilter(thresholds=(fraction,), p_com=1.0)(images, BatchRng(0, 3))

    total, place = high * wide, int((1.0 - fraction) * high * wide)
    luma = sum(weight * images[:, c] for c, weight in enumerate(BT601))
    magnitude = torch.fft.fft2(luma).abs()
    rows, columns = -torch.arange(high) % high, -torch.arange(wide) % wide
    # Partners tie in theory; here to the last bit.
    magnitude = torch.maximum(magnitude, magnitude[:, rows][:, :, columns])
    for number in range(3):
        whole = full_plane(keep[number, 0], wide)
        ranked = magnitude[number].flatten().sort().values
        kept = magnitude[number][whole]
        # All that is kept is larger than all that is not, but for the last bits of two transforms.
        assert (kept > ranked[place] * (1 - 1e-12)).all()
        assert (magnitude[number][~whole] <= ranked[place] * (1 + 1e-12)).all()
        # A partner of the threshold itself ties with it and goes too.
        assert int(whole.sum()) in (total - place - 1, total - place - 2)


@given(INFORMED, SIDES, SIDES, SEEDS, st.integers(-20, 20), st.integers(0, 12), st.integers(0, 12))
def test_an_informed_mask_does_not_see_brightness_nor_where_things_stand(
    makes, high, wide, seed, power, down, right
):
    chooses, images = makes(), random_images(high, wide, seed)
    keep = chooses(images, BatchRng(seed, 3))

    # By powers of two, which change no digit.
    assert torch.equal(chooses(images * 2.0**power, BatchRng(seed, 3)), keep)
    assert torch.equal(chooses(images.roll((down, right), (-2, -1)), BatchRng(seed, 3)), keep)


@given(SIDES, SIDES, SEEDS, st.floats(0.01, 0.99))
def test_a_relative_threshold_keeps_what_exceeds_that_share_of_the_largest(high, wide, seed, share):
    images = random_images(high, wide, seed)
    chooses = ComRComFilter((share,), 1.0, threshold_mode="relative_max", gray="mean")

    keep = full_plane(chooses(images, BatchRng(0, 3))[:, 0], wide)

    magnitude = torch.fft.fft2(images.mean(dim=1)).abs()
    margin = magnitude - share * magnitude.amax((-2, -1), keepdim=True)
    clear = margin.abs() > 1e-9
    assert torch.equal(keep[clear], margin[clear] > 0.0)


@given(SIDES, SIDES, st.floats(0.1, 9.0), st.none() | st.floats(0.1, 9.0))
def test_a_circle_is_its_rule_on_the_full_plane(high, wide, radius, outer):
    keep = full_plane(radial_keep((high, wide), radius, outer), wide)

    for y in range(high):
        for x in range(wide):
            square = min(y, high - y) ** 2 + min(x, wide - x) ** 2
            low = square < radius**2 or (outer is not None and square >= outer**2)
            assert bool(keep[y, x]) == low


@given(SIDES, SIDES, st.floats(0.1, 9.0), st.floats(0.0, 5.0))
def test_a_larger_circle_holds_the_smaller_one(high, wide, radius, more):
    small, large = (radial_keep((high, wide), r) for r in (radius, radius + more))

    assert (large | ~small).all()


@given(ANY, SIDES, SIDES, SEEDS)
def test_what_was_removed_stays_removed_and_the_parts_make_the_image(makes, high, wide, seed):
    chooses, images = makes(), random_images(high, wide, seed)
    keep = chooses(images, BatchRng(seed, 3))
    once = apply_filter(images, keep, clamp=False)

    torch.testing.assert_close(apply_filter(once, keep, clamp=False), once)
    torch.testing.assert_close(once + apply_filter(images, ~keep, clamp=False), images)
    clipped = apply_filter(images, keep)
    assert ((clipped >= 0.0) & (clipped <= 1.0)).all()
    assert torch.equal(clipped, once.clamp(0.0, 1.0))


@given(SIDES, SIDES, SEEDS, THRESHOLDS)
def test_a_random_mask_keeps_as_many_as_com_would_of_the_whole_plane(high, wide, seed, fraction):
    chooses = RandomFilter((fraction,), p_few=1.0)

    kept = full_plane(chooses(random_images(high, wide, seed), BatchRng(seed, 3)), wide).sum(
        (1, 2, 3)
    )

    nominal = high * wide - int((1.0 - fraction) * high * wide) - 1
    assert set(kept.tolist()) <= {nominal, nominal - 1}


@pytest.mark.parametrize("makes", [ComRComFilter, RandomFilter])
@pytest.mark.parametrize("draw", ["view", "image", "batch"])
@given(SEEDS)
def test_masks_of_a_batch_do_not_depend_on_how_it_is_shared(makes, draw, seed):
    images = random_images(8, 8, seed, count=4)
    chooses = makes((0.05, 0.3, 0.6), threshold_draw=draw)

    whole = chooses.draw_pair(images, images, BatchRng(seed, 4))
    for share in (slice(0, 2), slice(2, 4)):
        part = chooses.draw_pair(images[share], images[share], BatchRng(seed, 4, share))
        assert all(torch.equal(one, all_[share]) for one, all_ in zip(part, whole, strict=True))
