"""Colors are distorted as MMSegmentation's published ranges allow, and no further."""

import numpy as np
from PIL import Image

from folk.data.augment import PhotometricDistortion

GRAY = np.full((4, 4, 3), 128, dtype=np.uint8)
ORANGE = np.array(Image.new("RGB", (4, 4), (200, 120, 60)))


def drawn(distortion, colors, count=400):
    generators = map(np.random.default_rng, range(count))
    return np.stack([distortion(colors, rng)[0, 0] for rng in generators]).astype(int)


def only(**one):
    none = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    return PhotometricDistortion(**(none | one))


def test_brightness_adds_at_most_32_gray_levels_half_of_the_time():
    values = drawn(only(brightness=32.0), GRAY)[:, 0]

    assert 96 <= values.min() < 100
    assert 156 < values.max() <= 160
    assert 0.4 < (values != 128).mean() < 0.6


def test_contrast_multiplies_colors_by_a_half_to_one_and_a_half():
    values = drawn(only(contrast=0.5), GRAY)[:, 0]

    assert 64 <= values.min() < 68
    assert 188 < values.max() <= 192


def test_gray_has_neither_saturation_nor_hue():
    assert (drawn(only(saturation=0.5, hue=0.1), GRAY, 50) == 128).all()


def test_hue_turns_colors_by_at_most_a_tenth_and_keeps_the_brightest():
    found = drawn(only(hue=0.1), ORANGE)
    hues = np.array([Image.new("RGB", (1, 1), tuple(c)).convert("HSV").getpixel((0, 0))[0]
                     for c in found])  # fmt: skip
    own = Image.fromarray(ORANGE).convert("HSV").getpixel((0, 0))[0]
    turn = (hues - own + 128) % 256 - 128

    assert abs(turn).max() in range(23, 28)
    assert (abs(found.max(axis=1) - 200) <= 1).all()


def test_the_same_generator_distorts_alike():
    colors = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    one, two = (PhotometricDistortion()(colors, np.random.default_rng(3)) for _ in range(2))

    assert np.array_equal(one, two)
