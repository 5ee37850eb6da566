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


def test_the_seed_decides_the_draw():
    assert drawn(per_class=7) == drawn(per_class=7)
    assert drawn(per_class=7) != drawn(per_class=7, seed=1)


@fault("Numbers", "a split of more images of each class than one has", "refused, by class")
def test_a_class_with_too_few_images_is_named():
    with pytest.raises(InputError, match="class 0 has 25 images, fewer than per_class 26"):
        draw_split(LABELS, KEYS, per_class=26, seed=0)


def test_a_fraction_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match=r"fraction 0\.01 of the 25 images of class 0"):
        draw_split(LABELS, KEYS, fraction=0.01, seed=0)


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
