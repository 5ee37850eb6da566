"""The masks agree with the published rules, written out, and with the counted numbers."""

import numpy as np
import pytest
import torch

from folk.filters.apply import apply_filter
from folk.filters.com_rcom import ComRComFilter, largest_fraction, symmetric_magnitude
from folk.filters.radial import RadialFilter, radial_keep
from folk.filters.rng import BatchRng


def full_plane(keep: torch.Tensor, width: int) -> torch.Tensor:
    """Unfold a half-spectrum mask [..., h, w // 2 + 1] to [..., h, w] by point symmetry."""
    height = keep.shape[-2]
    rows = -torch.arange(height) % height
    columns = torch.arange(width // 2 + 1, width)
    mirrored = keep[..., rows, :][..., -columns % width]
    return torch.cat([keep, mirrored], dim=-1)


def published_low_pass(size: int, radius: float) -> torch.Tensor:
    """The rule of Jiahao000/MFM@c9194b1, data/data_mfm.py L24-28, on the shifted plane."""
    keep = torch.zeros(size, size, dtype=torch.bool)
    for y in range(size):
        for x in range(size):
            keep[y, x] = (x - size // 2) ** 2 + (y - size // 2) ** 2 < radius**2
    return keep


@pytest.mark.parametrize(("size", "radius"), [(224, 16), (64, 4.57), (32, 5), (7, 2), (8, 4)])
def test_the_half_plane_circle_is_the_published_circle_unshifted(size, radius):
    ours = full_plane(radial_keep((size, size), float(radius)), size)

    assert torch.equal(torch.fft.ifftshift(published_low_pass(size, radius)), ours)


@pytest.mark.parametrize(
    ("radius", "inside"),
    {4: 45, 8: 193, 12: 437, 16: 793, 20: 1245, 24: 1789, 32: 3205, 48: 7209, 64: 12849}.items(),
)
def test_a_circle_at_224_px_holds_the_counted_coefficients(radius, inside):
    low = full_plane(radial_keep((224, 224), float(radius)), 224)

    assert low.sum() == inside
    assert (~low).sum() == 224 * 224 - inside


@pytest.mark.parametrize(
    ("size", "inside"),
    {32: 21, 64: 69, 96: 145, 112: 193, 128: 261, 160: 421, 192: 593, 256: 1049, 384: 2361}.items(),
)
def test_the_radius_scales_with_the_image(size, inside):
    always_low = RadialFilter(radius=16.0, low_pass_prob=1.0, radius_size=224)

    keep = always_low(torch.rand(1, 3, size, size), BatchRng(0, 1))

    assert full_plane(keep, size).sum() == inside


def test_an_unscaled_radius_keeps_most_of_a_small_image():
    keep = RadialFilter(16.0, 1.0, radius_size=None)(torch.rand(1, 3, 32, 32), BatchRng(0, 1))

    assert full_plane(keep, 32).float().mean() == pytest.approx(0.77, abs=0.01)


def test_a_coefficient_exactly_on_the_radius_is_high():
    keep = radial_keep((224, 224), 16.0)

    assert not keep[0, 16]
    assert not keep[16, 0]
    assert keep[0, 15]


def test_a_band_hides_what_lies_between_two_radii():
    keep = radial_keep((32, 32), 3.0, radius_outer=6.0)

    assert keep[0, 2]
    assert not keep[0, 3]
    assert not keep[0, 5]
    assert keep[0, 6]


def smooth_images(count: int, size: int, seed: int = 0) -> torch.Tensor:
    """Images with a 1 / f spectrum, in [0, 1], red, green and blue different."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.fft.rfft2(torch.randn(count, 3, size, size, generator=generator))
    rows = torch.fft.fftfreq(size, 1 / size)[:, None]
    distance = (rows**2 + torch.fft.rfftfreq(size, 1 / size) ** 2).sqrt().clamp(min=1.0)
    images = torch.fft.irfft2(noise / distance, s=(size, size))
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low)


def published_com(image: np.ndarray, fraction: float) -> np.ndarray:
    """FOLK by reading A: gray, magnitudes, threshold by rank in the full plane, strict ">"."""
    gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    half = np.abs(np.fft.rfft2(gray))
    size = gray.shape[0]
    plane = np.empty((size, size))
    plane[:, : size // 2 + 1] = half
    for y in range(size):
        for x in range(size):  # both partners of a pair take the larger value: exact ties
            partner = half[-y % size, -x % size] if -x % size <= size // 2 else 0.0
            own = half[y, x] if x <= size // 2 else 0.0
            plane[y, x] = max(own, partner)
    ranked = np.sort(plane, axis=None)
    threshold = ranked[int(np.floor((1.0 - fraction) * size * size))]
    return plane > threshold


@pytest.mark.parametrize("size", [32, 31])
@pytest.mark.parametrize("fraction", [0.005, 0.01, 0.05, 0.3])
def test_com_equals_the_rule_on_the_full_plane(fraction, size):
    images = smooth_images(3, size).double()
    always_com = ComRComFilter(thresholds=(fraction,), p_com=1.0)

    keep = full_plane(always_com(images, BatchRng(0, len(images))), size)

    for ours, image in zip(keep[:, 0], images, strict=True):
        np.testing.assert_array_equal(published_com(image.numpy(), fraction), ours.numpy())


@pytest.mark.parametrize(
    ("fraction", "nominal", "index"),
    [(0.005, 250, 49925), (0.01, 501, 49674), (0.05, 2508, 47667)],
)
def test_com_at_224_px_keeps_the_nominal_count_or_one_less(fraction, nominal, index):
    assert int((1.0 - fraction) * 224 * 224) == index
    always_com = ComRComFilter(thresholds=(fraction,), p_com=1.0)

    for images in (smooth_images(4, 224), torch.rand(4, 3, 224, 224)):
        kept = full_plane(always_com(images, BatchRng(0, len(images))), 224).sum((1, 2, 3))

        assert set(kept.tolist()) <= {nominal - 1, nominal}


@pytest.mark.parametrize(("fraction", "kept"), [(0.005, 249), (0.01, 501), (0.05, 2507)])
def test_com_keeps_an_odd_count_where_no_self_conjugate_bin_but_the_mean_is_large(fraction, kept):
    # Pairs come in twos and the mean color alone makes the count odd.
    always_com = ComRComFilter(thresholds=(fraction,), p_com=1.0)

    keep = full_plane(always_com(smooth_images(4, 224, seed=3), BatchRng(0, 4)), 224)

    assert keep.sum((1, 2, 3)).tolist() == [kept] * 4


def test_com_keeps_the_mean_color_and_rcom_removes_it_before_the_clip():
    images = smooth_images(4, 64)
    com = ComRComFilter(p_com=1.0)(images, BatchRng(0, len(images)))
    rcom = ComRComFilter(p_com=0.0)(images, BatchRng(0, len(images)))

    assert com[:, :, 0, 0].all()
    assert not rcom[:, :, 0, 0].any()
    unclipped = apply_filter(images, rcom, clamp=False)
    torch.testing.assert_close(unclipped.mean((2, 3)), torch.zeros(4, 3), atol=1e-6, rtol=0.0)
    # The clip brings the mean color back.
    assert (apply_filter(images, rcom).mean((2, 3)) > 0.01).all()


def test_com_and_rcom_add_up_to_the_image_before_the_clip_and_not_after():
    images = smooth_images(4, 64)
    com = ComRComFilter(p_com=1.0)(images, BatchRng(0, len(images)))

    def total(clamp):
        return apply_filter(images, com, clamp) + apply_filter(images, ~com, clamp)

    torch.testing.assert_close(total(clamp=False), images)
    assert (total(clamp=True) - images).abs().max() > 0.01


def test_ranking_counts_a_coefficient_that_stands_for_two_twice():
    # 4 x 4 plane: half columns 0, 1, 2; only column 1 stands for two.
    magnitude = torch.tensor([[9.0, 8.0, 1.0], [2.0, 7.0, 1.5], [3.0, 6.0, 1.2], [2.0, 5.0, 1.5]])
    # Full plane, from the largest: 9 8 8 7 7 6 6 5 5 3 2 2 1.5 1.5 1.2 1. A quarter of 16 is 4, and
    # index 12 of the ascending order is the fourth largest: 7, which nothing tied may exceed.

    kept = largest_fraction(magnitude[None, None], 4, (0.25,), torch.tensor([0]))

    assert kept.flatten().nonzero().flatten().tolist() == [0, 1]


def test_magnitudes_of_partners_are_exactly_equal():
    magnitude = symmetric_magnitude(torch.rand(64, 1, 32, 32))

    for column in (0, 16):
        values = magnitude[..., column]
        assert torch.equal(values, values.flip(-1).roll(1, -1))
