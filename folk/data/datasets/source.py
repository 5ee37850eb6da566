"""Images of a data set before they are stored: each with its key, label and split."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from folk.data.datasets.members import Member
from folk.data.decode import encoded_png
from folk.evidence.core.errors import InputError


class RawImage(NamedTuple):
    """An image, or an annotation, that is given as pixels and stored as PNG."""

    where: str  # for an error
    pixels: Callable[[], UInt8[np.ndarray, "h w *colors"]]

    def read(self) -> bytes:
        """Encode it, gray or RGB."""
        return encoded_png(self.pixels())


class Entry(NamedTuple):
    """An image of a data set; a path is read in another thread, the others where they are listed.

    Attributes:
        key: unique in the data set; begins with the split, or names the corruption.
        label: class, -1 when unlabeled.
        split: of the prepared data set.
        image: where its bytes are.
        annotation: class ids, None without annotations.
    """

    key: str
    label: int
    split: str
    image: Member | RawImage | Path
    annotation: Member | RawImage | None = None


@dataclass(frozen=True)
class Source:
    """Images to store, and what `dataset.json` holds about them.

    Attributes:
        kind: "scenes", "folder", or a kind of archive.
        classes: names, in the order of the labels.
        images: yields the images; every call gives the same ones in the same order, split after
            split.
        counts: images by split, if known beforehand; else None.
        wnids: WordNet ids of the classes, None where there are none.
        segmentation_classes: names of the ids in annotations, None without annotations.
        recode: turns an annotation into ids, 255 = ignore, given its name for an error; None
            stores annotations as they are.
        image_size: (height, width) in pixels, if all images share it.
        splits: names that `dataset.json` counts even without an image.
        folds: published choices of training images, each by their positions; None without them.
    """

    kind: str
    classes: Sequence[str]
    images: Callable[[], Iterator[Entry]]
    counts: Mapping[str, int] | None = None
    wnids: Sequence[str] | None = None
    segmentation_classes: Sequence[str] | None = None
    recode: Callable[[Any, str], Any] | None = None
    image_size: tuple[int, int] | None = None
    splits: Sequence[str] = ()
    folds: Sequence[Sequence[int]] | None = None


def check_counts(
    expected: Mapping[str, int], num_splits: int | None, counts: Mapping[str, int]
) -> None:
    """Compare numbers of images by split with those of whole archives.

    Args:
        expected: images by split; `each` means all splits.
        num_splits: number of splits; None takes any.
        counts: what the archives hold.

    Raises:
        InputError: another number of images or splits.
    """
    if num_splits is not None and len(counts) != num_splits:
        raise InputError(
            f"archives: expected {num_splits} splits (archive.splits), got {len(counts)}; an "
            "archive is incomplete or not the official one"
        )
    each = dict.fromkeys(counts, expected["each"]) if "each" in expected else {}
    for split, number in (each | {k: n for k, n in expected.items() if k != "each"}).items():
        if counts.get(split, 0) != number:
            raise InputError(
                f"archives: expected {number} images of split '{split}' (archive.images), got "
                f"{counts.get(split, 0)}; an archive is incomplete or not the official one"
            )


def check_classes(where: Path | str, expected: int, found: Sequence[str]) -> None:
    """Compare the number of classes with that of the recipe.

    Raises:
        InputError: another number.
    """
    if len(found) != expected:
        raise InputError(
            f"{where}: expected {expected} classes (archive.classes), got {len(found)}; get "
            "the official archive"
        )


def chosen(
    whole: Source,
    *,
    expected: Mapping[str, int],
    num_splits: int | None,
    classes: Sequence[str] | None = None,
    train_per_class: int | None = None,
    val_per_class: int | None = None,
    held_out_per_class: int = 0,
) -> Source:
    """Choose images of each class by their place in the archives; their keys stay.

    Folds, which are positions in the whole archives, are left out.

    Args:
        whole: whole archives, with labeled splits `train` and `val`; images without a label stay.
        expected, num_splits: of the whole archives, as for `check_counts`.
        classes: WordNet ids of the classes, or names where there are no ids; None takes all.
            Labels count these alone, in the order of the archives' classes.
        train_per_class: the first so many of each class; None takes all.
        val_per_class: the same of the validation images.
        held_out_per_class: the last so many training images of each class are the validation
            images, in place of those of the archives; 0 takes those of the archives.

    Raises:
        InputError: as `check_counts`; an unknown class, or one with too few images.
    """
    numbers = Counter((entry.split, entry.label) for entry in whole.images())
    counts: Counter[str] = Counter()
    for (split, _), number in numbers.items():
        counts[split] += number
    check_counts(expected, num_splits, counts)
    names = list(whole.wnids or whole.classes)
    for name in classes or ():
        if name not in names:
            raise InputError(f"subset.classes: unknown class '{name}', not in the archives")
    kept = [label for label, name in enumerate(names) if classes is None or name in classes]
    places: dict[tuple[str, int], range] = {}  # by split and label, among those of the archives
    for label in kept:
        number = numbers["train", label]
        last = number - held_out_per_class
        if held_out_per_class and last <= 0:
            raise InputError(
                f"subset.held_out_per_class: {held_out_per_class} leaves none of the {number} "
                f"training images of class '{names[label]}'; lower it"
            )
        held_out = range(last, number) if held_out_per_class else range(numbers["val", label])
        for split, given, limit in (
            ("train", range(last), train_per_class),
            ("val", held_out, val_per_class),
        ):
            if limit is not None and limit > len(given):
                raise InputError(
                    f"subset.{split}_per_class: {limit}, but class '{names[label]}' has "
                    f"{len(given)}; lower it"
                )
            places[split, label] = given[:limit]
    label_of = {label: number for number, label in enumerate(kept)}

    def images() -> Iterator[Entry]:
        for split in dict.fromkeys([*counts, *(["val"] if held_out_per_class else [])]):
            read = "train" if split == "val" and held_out_per_class else split
            seen: Counter[int] = Counter()
            for entry in whole.images():
                if entry.split == read:
                    if entry.label == -1:
                        yield entry
                    elif seen[entry.label] in places.get((split, entry.label), ()):
                        yield entry._replace(split=split, label=label_of[entry.label])
                    seen[entry.label] += 1

    return replace(
        whole,
        classes=[whole.classes[label] for label in kept],
        wnids=None if whole.wnids is None else [names[label] for label in kept],
        images=images,
        counts=None,
        folds=None,
    )
