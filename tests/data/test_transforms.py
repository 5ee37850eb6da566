"""Transforms draw from the given generator only, and do to images what they say."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from folk.data.augment import (
    ColorJitter,
    PhotometricDistortion,
    RandomCrop,
    RandomErasing,
    global_generators,
)
from folk.data.joint import SegmentEvalTransform, SegmentTransform
from folk.data.pixels import to_pixels
from folk.data.transforms import (
    EvalTransform,
    FinetuneTransform,
    unit_range,
    view_transforms,
)
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.segmentation import IGNORE


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def image():
    pixels = rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((120, 80), Image.Resampling.BICUBIC)


@pytest.fixture
def pixels(image):
    return to_pixels(image)


def near(one, other):
    """Equal, but for the last bit of a value here and there."""
    apart = (one.int() - other.int()).abs()
    return apart.max() <= 2 and apart.float().mean() < 0.02


TRAINING = {
    "mfm": view_transforms("mfm", size=32, min_scale=0.2, num_views=2),
    "mfm, jitter": view_transforms("mfm", size=32, min_scale=0.2, jitter=1.0, num_views=1),
    "dino": view_transforms("dino", size=32, min_scale=0.2, jitter=1.0, num_views=2),
    "finetune": FinetuneTransform(
        size=32, min_scale=0.2, rand_augment="rand-m9-mstd0.5-inc1", random_erasing=0.25
    ),
    "jitter": FinetuneTransform(size=32, min_scale=0.2, color_jitter=0.4),
}


@pytest.mark.parametrize("transform", TRAINING.values(), ids=TRAINING)
def test_the_generator_alone_decides_the_image(pixels, transform):
    def made(seed):
        result = transform(pixels, rng(seed))
        return torch.stack(result) if isinstance(result, list) else result

    first = made(0)
    torch.manual_seed(99)
    random.seed(99)
    np.random.seed(99)

    assert torch.equal(made(0), first)
    assert not torch.equal(made(1), first)
    assert first.dtype == torch.uint8
    assert first.shape[-3:] == (3, 32, 32)


@pytest.mark.parametrize("transform", TRAINING.values(), ids=TRAINING)
def test_no_global_generator_is_moved(pixels, transform):
    # Python's own is not compared: beartype, on in every test, draws from it. See the next test.
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1).item(), np.random.random()
    torch.manual_seed(1)
    np.random.seed(1)

    transform(pixels, rng())

    assert (torch.rand(1).item(), np.random.random()) == expected


def test_global_generators_are_seeded_inside_and_restored_after_an_error():
    def draw():
        return random.random(), np.random.random(), torch.rand(1).item()

    with global_generators(rng(3)):
        first = draw()
    with global_generators(rng(3)):
        assert draw() == first
    state = random.getstate()

    def fails():
        with global_generators(rng(4)):
            draw()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert random.getstate() == state


@pytest.mark.parametrize("transform", TRAINING.values(), ids=TRAINING)
def test_the_given_image_stays_as_it_is(pixels, transform):
    before = pixels.clone()

    for seed in range(5):
        transform(pixels, rng(seed))

    assert torch.equal(pixels, before)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_crop_equals_the_librarys_crop_of_the_same_part(image, interpolation):
    crop = RandomCrop(32, (0.2, 1.0), flip=0.0, interpolation=interpolation)
    part = crop._part(image.height, image.width, rng(5))
    expected = F.resized_crop(
        image, *part, [32, 32], interpolation=InterpolationMode(interpolation), antialias=True
    )

    assert near(crop(to_pixels(image), rng(5)), to_pixels(expected))


def test_crops_have_the_areas_and_ratios_that_were_asked_for():
    crop = RandomCrop(32, (0.3, 0.5))
    generator = rng()
    parts = np.array([crop._part(400, 600, generator) for _ in range(2000)])
    top, left, height, width = parts.T
    area, ratio = height * width / (400 * 600), width / height

    assert 0.297 < area.min() < 0.31
    assert 0.49 < area.max() < 0.503
    assert abs(area.mean() - 0.4) < 0.005
    assert 0.74 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.345
    assert abs(np.log(ratio).mean()) < 0.02
    assert (top >= 0).all()
    assert (top + height <= 400).all()
    assert (left >= 0).all()
    assert (left + width <= 600).all()


def test_an_image_too_long_for_any_ratio_gives_its_center():
    assert RandomCrop(8, (1.0, 1.0))._part(10, 100, rng()) == (0, 43, 10, 13)


def test_half_of_the_crops_are_mirrored():
    pixels = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
    crop = RandomCrop(4, (1.0, 1.0), flip=0.5, ratio=(1.0, 1.0))
    generator = rng()
    mirrored = [crop(pixels, generator)[0, 0, 0].item() > 0 for _ in range(1000)]

    assert 0.45 < np.mean(mirrored) < 0.55


def test_two_views_of_an_image_differ(pixels):
    u, v = view_transforms("mfm", size=32, min_scale=0.2, num_views=2)(pixels, rng())
    assert not torch.equal(u, v)


def test_spatial_views_are_the_same_crops_without_changes_of_color(pixels):
    def make(**more):
        views = view_transforms("dino", size=32, min_scale=0.2, jitter=1.0, num_views=2, **more)
        return views(pixels, np.random.default_rng(3))

    full, both = make(), make(and_spatial=True)

    assert len(both) == 4
    assert all(torch.equal(a, b) for a, b in zip(full, both[:2], strict=True))
    plain = view_transforms("mfm", size=32, min_scale=0.2, num_views=1)(
        pixels, np.random.default_rng(3)
    )
    assert torch.equal(both[2], plain[0])
    assert not torch.equal(both[0], both[2])


def test_a_crop_of_everything_without_mirror_changes_nothing(image):
    square = to_pixels(image.resize((32, 32)))
    crop = RandomCrop(32, (1.0, 1.0), flip=0.0, ratio=(1.0, 1.0))

    assert torch.equal(crop(square, rng()), square)


def test_every_second_dino_view_may_be_solarized_and_the_first_never():
    views = view_transforms("dino", size=32, min_scale=0.2, num_views=2).views

    assert [(v.blur, v.solarize, v.gray) for v in views] == [(1.0, 0.0, 0.2), (0.1, 0.2, 0.2)]


def test_jitter_without_strength_does_nothing_and_brightness_scales(image):
    nothing = ColorJitter(0.0, 0.0, 0.0, 0.0, 1.0)
    colors = np.array(image)
    assert np.array_equal(nothing(colors, rng()), colors)

    gray = np.full((4, 4, 3), 100, dtype=np.uint8)
    jitter = ColorJitter(0.4, 0.0, 0.0, 0.0, 1.0)
    values = [jitter(gray, rng(i))[0, 0, 0] for i in range(300)]
    assert 59 <= min(values) < 70
    assert 130 < max(values) <= 140


def test_erasing_changes_one_rectangle_and_only_as_often_as_asked():
    flat = torch.zeros((3, 32, 32), dtype=torch.uint8)
    always = RandomErasing(1.0)(flat, rng())
    changed = (always > 0).any(0)
    rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)

    assert flat.sum() == 0
    assert 0.015 < box / 1024 < 0.4
    assert changed.sum() > 0.9 * box
    often = [bool(RandomErasing(0.25)(flat, rng(i)).any()) for i in range(400)]
    assert 0.19 < np.mean(often) < 0.31


@pytest.mark.parametrize("magnitude", [9, 10])
def test_rand_augment_survives_every_operation(magnitude):
    transform = FinetuneTransform(
        size=16, min_scale=1.0, rand_augment=f"rand-m{magnitude}-mstd2.0-inc1"
    )
    pixels = to_pixels(Image.fromarray(rng().integers(0, 256, (16, 16, 3), dtype=np.uint8)))

    assert all(transform(pixels, rng(i)).shape == (3, 16, 16) for i in range(300))


def test_evaluation_takes_the_center_of_the_resized_image(image):
    expected = F.center_crop(F.resize(image, [36], InterpolationMode.BICUBIC), [32, 32])

    found = EvalTransform(resize=36, crop=32)(to_pixels(image), rng())
    assert near(found, to_pixels(expected))


def test_evaluation_leaves_a_fitting_image_as_it_is(image):
    square = to_pixels(image.resize((32, 32)))

    assert torch.equal(EvalTransform(resize=32, crop=32)(square, rng()), square)


def test_unit_range_maps_black_to_0_and_white_to_1():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)

    torch.testing.assert_close(unit_range(pixels).flatten(), torch.tensor([0.0, 0.2, 1.0]))


def joint_pair(height=40, width=60):
    """An image whose red value is ten times its class id, and the ids."""
    ids = rng().integers(0, 11, (height // 10, width // 10), dtype=np.uint8).repeat(10, 0)
    ids = ids.repeat(10, 1)
    image = Image.fromarray(np.stack([ids * 10] * 3, axis=-1))
    return to_pixels(image), Image.fromarray(ids)


@pytest.mark.parametrize("seed", range(8))
def test_image_and_annotation_move_together(seed):
    image, annotation = joint_pair()
    image, ids = SegmentTransform(crop=40, scale=(1.0, 1.0))(image, annotation, rng(seed))

    assert image.shape == (3, 40, 40)
    assert torch.equal(image[0], ids * 10)


@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.5, 2.0), (2.0, 2.0)])
def test_scaled_annotations_hold_known_ids_only_and_fill_with_ignore(scale):
    image, annotation = joint_pair()
    image, ids = SegmentTransform(crop=32, scale=scale)(image, annotation, rng())
    inside = ids != IGNORE

    assert ids.shape == (32, 32)
    assert set(ids[inside].tolist()) <= set(range(11))
    assert inside.sum() == (16 * 24 if scale == (0.5, 0.5) else 32 * 32)
    assert torch.all(torch.tensor([124, 116, 104], dtype=torch.uint8) == image[:, ~inside].T)
    # Bicubic edges and nearest ids differ at borders only.
    near = (image[0][inside].int() - ids[inside].int() * 10).abs() <= 10
    assert near.float().mean() > 0.6


def test_filling_is_the_mean_color_whatever_changes_the_image():
    changed = SegmentTransform(crop=32, scale=(0.5, 0.5), flip=1.0, jitter=0.5, photometric=True)
    image, ids = changed(*joint_pair(), rng())

    assert torch.all(ids[16:] == IGNORE)
    assert torch.all(ids[:, 24:] == IGNORE)
    outside = torch.tensor([124, 116, 104], dtype=torch.uint8)
    assert torch.all(outside == image[:, 16:].flatten(1).T)
    assert torch.all(outside == image[:, :, 24:].flatten(1).T)
    assert not torch.any(ids[:16, :24] == IGNORE)


def test_color_jitter_leaves_the_annotation_alone():
    image, annotation = joint_pair()
    plain = SegmentTransform(crop=40, scale=(1.0, 1.0), flip=0.0)
    jittered = SegmentTransform(crop=40, scale=(1.0, 1.0), flip=0.0, jitter=0.5)

    assert torch.equal(plain(image, annotation, rng(2))[1], jittered(image, annotation, rng(2))[1])


class Places(np.random.Generator):
    """Gives out the given numbers, in turn, as the places of crops."""

    def __init__(self, *places):
        super().__init__(np.random.PCG64(0))
        self.places = list(places)

    def integers(self, high):
        return self.places.pop(0)


def striped(*widths_and_ids):
    """An image of 8 rows and, from left to right, columns of these classes."""
    ids = np.concatenate([np.full((8, width), value) for width, value in widths_and_ids], axis=1)
    ids = ids.astype(np.uint8)
    return to_pixels(Image.fromarray(np.stack([ids] * 3, axis=-1))), Image.fromarray(ids)


def crop_at(image, *lefts, share=0.75):
    """The ids of the crop that is taken, and how many places were left over."""
    drawn = Places(*(number for left in lefts for number in (left, 0)))
    transform = SegmentTransform(crop=8, scale=(1.0, 1.0), flip=0.0, max_class_share=share)
    _, ids = transform(*image, drawn)
    return ids[0].tolist(), len(drawn.places) // 2


def test_a_crop_with_three_quarters_of_one_class_is_drawn_again():
    image = striped((8, 1), (8, 2))

    # 8 of 8, then 6 of 8 columns of one class, then 5 of 8.
    assert crop_at(image, 0, 2, 3, 4) == ([1] * 5 + [2] * 3, 1)
    assert crop_at(image, 2, 3, share=0.76) == ([1] * 6 + [2] * 2, 1)
    assert crop_at(image, 0, 3, share=None) == ([1] * 8, 1)


def test_ignored_pixels_count_for_no_share():
    # 3 columns of one class and 1 of another: three quarters of what is annotated, not of all.
    image = striped((4, IGNORE), (3, 1), (4, 2))

    assert crop_at(image, 0, 1, 2)[0] == [IGNORE] * 3 + [1] * 3 + [2] * 2


@pytest.mark.parametrize("value", [7, IGNORE])
def test_where_no_crop_is_mixed_the_eleventh_is_taken(value):
    image = striped((16, value), (1, 3))

    taken, left_over = crop_at(image, *[0] * 10, 5, 9)

    assert (taken, left_over) == ([value] * 8, 1)


def test_segmentation_evaluation_keeps_the_annotations_size():
    image, ids = SegmentEvalTransform(size=20)(*joint_pair(), rng())
    assert image.shape == (3, 20, 30)
    assert ids.shape == (40, 60)

    image, _ = SegmentEvalTransform()(*joint_pair(), rng())
    assert image.shape == (3, 40, 60)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: view_transforms("mfm", size=32, min_scale=0.0, num_views=1),
        lambda: view_transforms("mfm", size=32, min_scale=0.5, max_scale=0.4, num_views=1),
        lambda: FinetuneTransform(size=32, min_scale=0.2, rand_augment="randd-m9"),
        lambda: EvalTransform(resize=16, crop=32),
        lambda: SegmentTransform(crop=32, scale=(2.0, 1.0)),
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()


# MMSegmentation's distortion of colors: as its published ranges allow, and no further.

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
