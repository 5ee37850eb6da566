"""A split is balanced, repeatable and independent of the order of the images."""

import numpy as np
import pytest

from folk.data.splits import draw_split, read_list
from folk.evidence.core.errors import InputError
from tests.faults.table import fault

LABELS = np.repeat(np.arange(4), 25).astype(np.int32)
KEYS = [f"train/{label}/{i}.jpg" for label in range(4) for i in range(25)]


def drawn(**options):
    return [KEYS[i] for i in draw_split(LABELS, KEYS, **{"seed": 0} | options)]


def test_every_class_gets_the_same_number():
    rows = draw_split(LABELS, KEYS, per_class=7, seed=0)

    assert np.bincount(LABELS[rows]).tolist() == [7] * 4
    assert len(set(rows.tolist())) == 28
    assert np.all(np.diff(rows) > 0)


def test_a_fraction_is_taken_of_every_class():
    labels = np.repeat([0, 1], [20, 80]).astype(np.int32)
    rows = draw_split(labels, [str(i) for i in range(100)], fraction=0.1, seed=0)

    assert np.bincount(labels[rows]).tolist() == [2, 8]


def test_the_seed_decides_the_draw():
    assert drawn(per_class=7) == drawn(per_class=7)
    assert drawn(per_class=7) != drawn(per_class=7, seed=1)


def test_the_order_of_the_images_does_not_matter():
    shuffled = np.random.default_rng(0).permutation(len(KEYS))
    rows = draw_split(LABELS[shuffled], [KEYS[i] for i in shuffled], per_class=7, seed=0)

    assert sorted(KEYS[shuffled[row]] for row in rows) == sorted(drawn(per_class=7))


def test_a_smaller_draw_is_part_of_a_larger_one():
    assert set(drawn(per_class=3)) < set(drawn(per_class=9))


def test_unlabeled_images_are_never_drawn():
    labels = LABELS.copy()
    labels[:25] = -1

    assert draw_split(labels, KEYS, per_class=5, seed=0).min() >= 25


@fault("Numbers", "a split of more images of each class than one has", "refused, by class")
def test_a_class_with_too_few_images_is_named():
    with pytest.raises(InputError, match="class 0 has 25 images, fewer than per_class 26"):
        draw_split(LABELS, KEYS, per_class=26, seed=0)


def test_a_fraction_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match=r"fraction 0\.01 of the 25 images of class 0"):
        draw_split(LABELS, KEYS, fraction=0.01, seed=0)


def test_a_draw_from_unlabeled_images_is_refused():
    with pytest.raises(InputError, match="no image has a label"):
        draw_split(np.full(3, -1, dtype=np.int32), ["a", "b", "c"], per_class=1, seed=0)


def test_a_list_may_name_keys_or_file_names(tmp_path):
    keys = ["train/a/a_1.jpg", "train/a/a_2.jpg", "train/b/b_1.jpg"]
    (tmp_path / "list.txt").write_text("b_1.jpg\n\ntrain/a/a_1.jpg\n")

    assert read_list(tmp_path / "list.txt", keys).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the list is empty"),
        ("train/0/0.jpg\nx\ny\nz\nw\n", "4 unknown images: x, y, z, ..."),
        ("0.jpg\n", "1 ambiguous file names"),
        ("train/0/0.jpg\ntrain/0/0.jpg\n", "1 duplicate images: train/0/0.jpg"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)

    with pytest.raises(InputError) as error:
        read_list(tmp_path / "list.txt", KEYS)
    assert message in str(error.value)


def test_a_missing_or_binary_list_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such list"):
        read_list(tmp_path / "list.txt", KEYS)
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a text file"):
        read_list(tmp_path / "list.txt", KEYS)
