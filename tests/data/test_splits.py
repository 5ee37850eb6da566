"""A split is balanced, repeatable and independent of the order of the images."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from folk.data.splits import draw_split, read_list
from folk.evidence.core.errors import InputError
from tests.faults.table import fault

QUARTERS = np.repeat(np.arange(4), 25).astype(np.int32)
KEYS = [f"train/{label}/{i}.jpg" for label in range(4) for i in range(25)]


def drawn(**options):
    return [KEYS[i] for i in draw_split(QUARTERS, KEYS, **{"seed": 0} | options)]


def test_the_seed_decides_the_draw():
    assert drawn(per_class=7) == drawn(per_class=7)
    assert drawn(per_class=7) != drawn(per_class=7, seed=1)


@fault("Numbers", "a split of more images of each class than one has", "refused, by class")
def test_a_class_with_too_few_images_is_named():
    with pytest.raises(InputError, match="class 0 has 25 images, fewer than per_class 26"):
        draw_split(QUARTERS, KEYS, per_class=26, seed=0)


def test_a_fraction_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match=r"fraction 0\.01 of the 25 images of class 0"):
        draw_split(QUARTERS, KEYS, fraction=0.01, seed=0)


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


# Whatever the labels, the keys and the seed.

LABELS = st.lists(st.integers(-1, 4), min_size=1, max_size=60).map(
    lambda labels: np.array(labels, dtype=np.int64)
)
SEEDS = st.integers(0, 2**32)


def keys_of(labels):
    return [f"train/{number:03d}.png" for number in range(len(labels))]


@fault(
    "Random",
    "any labels, any seed: the draw of a few-label split",
    "every class gives its exact number, no image is drawn twice and none without a label; a "
    "smaller draw is part of a larger one, and neither order nor other classes move it",
)
@given(LABELS, SEEDS, st.data())
def test_every_class_gives_its_number_and_a_smaller_draw_is_part_of_a_larger(labels, seed, data):
    counts = np.bincount(labels[labels >= 0]) if (labels >= 0).any() else np.zeros(0, int)
    fewest = min((count for count in counts if count), default=0)
    assume(fewest)
    many = data.draw(st.integers(1, int(fewest)))
    few = data.draw(st.integers(1, many))

    smaller, larger = (
        draw_split(labels, keys_of(labels), per_class=count, seed=seed) for count in (few, many)
    )

    assert (np.diff(larger) > 0).all()
    assert set(smaller) <= set(larger)
    for label, count in enumerate(counts):
        assert (labels[larger] == label).sum() == (many if count else 0)
    assert (labels[larger] >= 0).all()


@given(LABELS, SEEDS, st.floats(0.01, 1.0))
def test_a_share_is_rounded_class_by_class(labels, seed, fraction):
    counts = {c: int((labels == c).sum()) for c in set(labels[labels >= 0].tolist())}
    wanted = {label: round(fraction * count) for label, count in counts.items()}
    if not wanted or not all(wanted.values()):
        problem = "no whole image" if wanted else "no image has a label"
        with pytest.raises(InputError, match=problem):
            draw_split(labels, keys_of(labels), fraction=fraction, seed=seed)
        return

    drawn = draw_split(labels, keys_of(labels), fraction=fraction, seed=seed)

    assert {c: int((labels[drawn] == c).sum()) for c in counts} == wanted


@given(LABELS, SEEDS, st.data())
def test_the_order_of_the_rows_moves_nothing(labels, seed, data):
    assume((labels >= 0).any())
    keys = keys_of(labels)
    order = data.draw(st.permutations(range(len(labels))))

    drawn = draw_split(labels, keys, per_class=1, seed=seed)
    shuffled = draw_split(labels[order], [keys[i] for i in order], per_class=1, seed=seed)

    assert {keys[i] for i in drawn} == {keys[order[i]] for i in shuffled}


@given(LABELS, SEEDS, st.integers(0, 4))
def test_what_other_classes_hold_moves_nothing(labels, seed, label):
    assume((labels == label).any())
    keys, alone = keys_of(labels), np.where(labels == label, labels, -1)

    drawn = draw_split(labels, keys, per_class=1, seed=seed)
    drawn_alone = draw_split(alone, keys, per_class=1, seed=seed)

    assert set(drawn_alone) == {i for i in drawn if labels[i] == label}


@given(st.sets(st.integers(0, 30), min_size=1), st.booleans(), st.data())
def test_a_list_is_read_as_it_was_written_in_any_order(tmp_path, chosen, by_name, data):
    keys = [f"train/{number:02d}.png" for number in range(31)]
    lines = [keys[i].rpartition("/")[2] if by_name else keys[i] for i in chosen]
    lines = data.draw(st.permutations(lines))
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines))

    assert read_list(path, keys).tolist() == sorted(chosen)
