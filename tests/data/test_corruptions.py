"""Corruptions harm more with severity, repeat themselves, and leave the image's form."""

import numpy as np
import pytest
from PIL import Image

from folk.data.corruptions import CORRUPTIONS, CorruptedImage, corrupt
from folk.data.pixels import to_pixels
from folk.data.transforms import EvalTransform
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.corruption import SEVERITIES

HEIGHT, WIDTH = 24, 40


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Smooth waves with some grain, in the middle of the range."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = np.stack([np.sin(x / 3), np.cos(y / 4), np.sin((x + y) / 5)], axis=-1)
    grain = np.random.default_rng(0).normal(0, 0.1, waves.shape)
    return (100 + 50 * (waves + grain)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_harm_grows_with_severity(image, name):
    harm = []
    for severity in SEVERITIES:
        found = corrupt(image, name, severity, np.random.default_rng(1))
        assert found.shape == image.shape
        assert found.dtype == np.uint8
        harm.append(float(((found.astype(float) - image) ** 2).mean()))

    assert harm[0] > 0
    assert harm == sorted(harm)
    assert harm[-1] > 1.5 * harm[0]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_generator_gives_the_same_image(image, name):
    one, two = (corrupt(image, name, 3, np.random.default_rng(7)) for _ in range(2))

    assert np.array_equal(one, two)


def test_contrast_keeps_the_mean_color_and_brightness_lifts_it_by_half_the_range(image):
    rng = np.random.default_rng(0)
    dark = image // 2

    np.testing.assert_allclose(
        corrupt(image, "contrast", 5, rng).mean((0, 1)), image.mean((0, 1)), atol=0.5
    )
    lifted = corrupt(dark, "brightness", 5, rng).astype(int) - dark
    assert set(np.unique(lifted)) <= {127, 128}  # 127.5, rounded


def test_the_deviation_of_the_noise_is_a_quarter_of_the_range_at_most():
    gray = np.full((200, 200, 3), 127, np.uint8)

    noisy = corrupt(gray, "gaussian_noise", 2, np.random.default_rng(0)).astype(float)

    assert (noisy - 127).std() == pytest.approx(0.25 * 0.4 * 255, rel=0.02)


def test_an_image_is_cut_first_and_corrupted_then(image):
    transform = CorruptedImage(EvalTransform(resize=24, crop=16), "contrast", 5)
    pixels = to_pixels(Image.fromarray(image))
    plain = EvalTransform(resize=24, crop=16)(pixels, np.random.default_rng(0))

    found = transform(pixels, np.random.default_rng(0))

    assert found.shape == (3, 16, 16)
    cut = plain.numpy().transpose(1, 2, 0)
    expected = corrupt(cut, "contrast", 5, np.random.default_rng(0)).transpose(2, 0, 1)
    assert np.array_equal(found.numpy(), expected)


def test_an_unknown_corruption_is_refused():
    with pytest.raises(InputError, match="did you mean 'contrast'"):
        CorruptedImage(EvalTransform(resize=24, crop=16), "contrst", 1)
