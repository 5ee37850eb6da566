"""Changes of color against the functions that the papers' code calls, Pillow's by torchvision."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter
from torchvision.transforms.v2 import functional as F

from folk.data.color import (
    blurred,
    brightened,
    contrasted,
    grayed,
    hue_shifted,
    saturated,
    solarized,
)

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea")


@pytest.fixture(params=PHOTOGRAPHS)
def colors(request) -> np.ndarray:
    return np.ascontiguousarray(getattr(skimage.data, request.param)()[50:150, 60:180])


def of_pillow(change: Callable[..., Image.Image], colors: np.ndarray, *values) -> np.ndarray:
    return np.asarray(change(Image.fromarray(colors), *values)).astype(int)


@pytest.mark.parametrize("factor", [0.0, 0.6, 0.7731, 1.0, 1.2345, 1.4, 2.5])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(brightened, F.adjust_brightness), (contrasted, F.adjust_contrast)],
)
def test_brightness_and_contrast_are_pillows_to_the_bit(colors, factor, ours, theirs):
    assert np.array_equal(ours(colors, factor), of_pillow(theirs, colors, factor))


@pytest.mark.parametrize("threshold", [0, 128, 200, 256])
def test_solarization_is_pillows_to_the_bit(colors, threshold):
    assert np.array_equal(
        solarized(colors, threshold), of_pillow(ImageOps.solarize, colors, threshold)
    )


@pytest.mark.parametrize("factor", [0.0, 0.8, 1.2, 1.6])
def test_saturation_differs_from_pillows_by_one_at_most(colors, factor):
    theirs = of_pillow(F.adjust_saturation, colors, factor)
    # Both round the gray, and what is a half more or less there is multiplied.
    assert np.abs(saturated(colors, factor) - theirs).max() <= 1 + abs(factor - 1)


def test_gray_differs_from_pillows_by_one_at_most(colors):
    theirs = of_pillow(F.rgb_to_grayscale, colors, 3)
    assert np.abs(grayed(colors) - theirs).max() <= 1


@pytest.mark.parametrize("turns", [-0.1, -0.033, 0.05, 0.1, 0.4])
def test_a_shifted_hue_is_about_as_near_to_the_exact_one_as_pillows(colors, turns):
    planes = torch.from_numpy(colors).permute(2, 0, 1).double() / 255
    exact = F.adjust_hue(planes, turns).permute(1, 2, 0).numpy() * 255
    off = np.abs(hue_shifted(colors, turns) - exact).mean()
    assert off < 0.2 + np.abs(of_pillow(F.adjust_hue, colors, turns) - exact).mean()
    assert off < 1.2


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_a_blur_is_a_gaussian(colors, radius):
    exact = gaussian_filter(colors.astype(float), (radius, radius, 0), mode="mirror", truncate=3)
    assert np.abs(blurred(colors, radius) - exact).max() < 2.5


def test_a_blur_of_next_to_nothing_changes_nothing(colors):
    assert np.array_equal(blurred(colors, 0.01), colors)


def test_a_hue_goes_round(colors):
    assert np.array_equal(hue_shifted(colors, 0.25), hue_shifted(colors, -0.75))
