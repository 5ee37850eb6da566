"""What a filter keeps of a spectrum is counted as Parseval would count it."""

import numpy as np
import pytest

from folk.evidence.report.examples import Examples, completed, kept_shares, largest_first, power


def images(count=2, side=8):
    return np.random.default_rng(0).random((count, side, side, 3))


def wave(side=8):
    """Two cosines along the rows, of 1 and 3 cycles; the first has four times the energy."""
    x = np.arange(side) / side
    line = 0.5 + 0.2 * np.cos(2 * np.pi * x) + 0.1 * np.cos(2 * np.pi * 3 * x)
    return np.broadcast_to(line[None, None, :, None], (1, side, side, 3)).copy()


def test_the_energy_of_a_spectrum_is_the_variance_of_its_image():
    some = images()

    energy = power(some).sum(axis=(1, 2))

    spread = ((some - some.mean(axis=(1, 2), keepdims=True)) ** 2).sum(axis=(1, 2, 3))
    assert energy == pytest.approx(8 * 8 * spread)


def test_the_mean_color_stands_in_the_middle_and_counts_nothing():
    energy = power(images() + 100.0)

    assert (energy[:, 4, 4] == 0.0).all()


def test_largest_first_rises_to_all_and_starts_with_the_largest():
    shares = largest_first(power(wave()))

    assert shares.shape == (1, 63)
    assert shares[0, :4] == pytest.approx([0.4, 0.8, 0.9, 1.0])
    assert (np.diff(shares) >= -1e-12).all()


def test_a_filter_keeps_the_energy_of_the_waves_that_it_leaves():
    keep = np.zeros((1, 8, 8), dtype=bool)
    keep[0, 4, 3:6] = True  # the mean color and one cycle

    count, share = kept_shares(power(wave()), keep)
    rest_count, rest_share = kept_shares(power(wave()), ~keep)

    assert (count[0], share[0]) == pytest.approx((2 / 63, 0.8))
    assert (rest_count[0], rest_share[0]) == pytest.approx((61 / 63, 0.2))


def example(keep, rebuilt):
    some = wave()
    return Examples("FOLK", ["x"], some, keep, some[None], rebuilt, one_mask=True)


def test_a_completed_image_takes_only_hidden_frequencies_from_the_model():
    keep = np.zeros((1, 1, 8, 8), dtype=bool)
    keep[..., 4, 3:6] = True
    guess = 0.5 + 0.1 * np.random.default_rng(1).random((1, 1, 8, 8, 3))

    whole = completed(example(keep, guess))

    known, guessed, joined = (
        np.fft.fftshift(np.fft.fft2(p, axes=(-3, -2)), axes=(-3, -2))
        for p in (wave()[None], guess, whole)
    )
    assert whole.min() > 0.0, "nothing was clipped, so that spectra can be compared"
    assert whole.max() < 1.0
    assert joined[keep] == pytest.approx(known[keep])
    assert joined[~keep] == pytest.approx(guessed[~keep])


def test_where_nothing_was_hidden_the_prediction_is_the_image():
    guess = np.full((1, 1, 8, 8, 3), 0.25)

    whole = completed(example(np.ones((1, 1, 8, 8), dtype=bool), guess))

    assert (whole == guess).all()
