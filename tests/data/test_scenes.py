"""Scenes are the same for the same seed, and validation shows nothing of training."""

from pathlib import Path

import numpy as np
import pytest

from folk.data.datasets.scenes import (
    compose_scenes,
    digit_pool,
    photograph_regions,
    read_digits,
    read_photographs,
    scene_sources,
)
from folk.evidence.core.errors import InputError
from folk.stages.table import load_recipe

SMALL = {"num_train": 30, "num_val": 20, "num_unlabeled": 10}


def same(a, b):
    return (
        (a.key, a.split, a.label) == (b.key, b.split, b.label)
        and np.array_equal(a.image, b.image)
        and np.array_equal(a.annotation, b.annotation)
    )


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first, again = list(compose_scenes(**SMALL, seed=3)), list(compose_scenes(**SMALL, seed=3))
    other = list(compose_scenes(**SMALL, seed=4))

    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.image, b.image) for a, b in zip(first, other, strict=True))


def test_a_smaller_data_set_is_the_beginning_of_a_larger_one():
    small = {s.key: s for s in compose_scenes(**SMALL)}
    large = {s.key: s for s in compose_scenes(num_train=50, num_val=30, num_unlabeled=40)}

    assert all(same(small[key], large[key]) for key in small)


def test_no_scene_occurs_in_two_splits():
    images = [s.image.tobytes() for s in compose_scenes(**SMALL)]

    assert len(set(images)) == len(images)


def test_training_and_validation_share_no_digit_and_leave_none_out():
    train = np.concatenate(digit_pool("train").indices)
    val = np.concatenate(digit_pool("val").indices)

    assert not set(train) & set(val)
    assert sorted([*train, *val]) == list(range(1797))
    assert np.array_equal(np.concatenate(digit_pool("unlabeled").indices), train)


def test_no_two_digits_of_the_source_are_the_same_image():
    images, _ = read_digits()  # else an identical scan could stand on both sides

    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


@pytest.mark.parametrize("size", [32, 64])
def test_training_and_validation_share_no_pixel_of_a_photograph(size):
    train = {r.name: r.columns for r in photograph_regions("train", size)}
    val = {r.name: r.columns for r in photograph_regions("val", size)}

    assert set(val) <= set(train)
    for name, (start, stop) in val.items():
        assert train[name][1] <= start < stop


def test_a_region_is_cut_before_it_is_reduced():
    pixels = {p.name: p.pixels for p in read_photographs()}
    for region in photograph_regions("val", 32):
        start, stop = region.columns
        assert np.array_equal(region.levels[0], pixels[region.name][:, start:stop])
        assert all(level.shape[1] <= -(-(stop - start) // 2) for level in region.levels[1:])


def test_classes_are_balanced_and_unlabeled_scenes_have_no_label():
    scenes = list(compose_scenes(num_train=30, num_val=20, num_unlabeled=10))
    labels = {
        split: [s.label for s in scenes if s.split == split]
        for split in ("train", "val", "unlabeled")
    }

    assert np.bincount(labels["train"]).tolist() == [3] * 10
    assert np.bincount(labels["val"]).tolist() == [2] * 10
    assert set(labels["unlabeled"]) == {-1}


def test_an_annotation_holds_background_and_the_class_of_its_scene_only():
    for scene in compose_scenes(num_train=200, num_val=10, num_unlabeled=0):
        ids = np.unique(scene.annotation)
        assert ids.tolist() == [0, scene.label + 1]
        assert (scene.annotation > 0).sum() >= 20


def test_the_stroke_is_brighter_than_the_photograph_around_it():
    scenes = list(compose_scenes(num_train=100, num_val=10, num_unlabeled=0, color=0.0))
    ink = [s.image[s.annotation > 0].mean() for s in scenes]
    rest = [s.image[s.annotation == 0].mean() for s in scenes]

    assert np.mean(np.greater(ink, rest)) > 0.99


def test_contrast_zero_leaves_a_flat_background():
    values = {"contrast": 0.0, "color": 0.0}
    for scene in compose_scenes(num_train=10, num_val=10, num_unlabeled=0, **values):
        assert scene.image[0, 0].tolist() == [89, 89, 89]  # 0.35 of 255


def test_the_sources_are_the_digits_and_every_photograph():
    sources = scene_sources()

    assert len(sources) == 1 + len(read_photographs())
    assert len({s["sha256"] for s in sources}) == len(sources)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 8),
        ("num_train", 0),
        ("num_val", 3),
        ("num_unlabeled", -1),
        ("contrast", 1.5),
        ("color", -0.1),
        ("digit_scale", [0.9, 0.6]),
        ("digit_brightness", [0.5, 1.5]),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(key, value):
    with pytest.raises(InputError, match=rf"demo\.yaml:\d+: scenes\.{key}.*: "):
        load_recipe("prepare", Path("config/recipes/prepare/demo.yaml"), {f"scenes.{key}": value})


def test_a_scene_larger_than_every_photograph_is_refused():
    with pytest.raises(InputError, match="size 2000 px is larger than every photograph"):
        next(compose_scenes(size=2000))
