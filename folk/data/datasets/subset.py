"""A part of labeled archives: few images of each class, or training images held out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from folk.data.datasets.archives import Contents, Entry
from folk.evidence.core.errors import InputError


def chosen(
    contents: Contents,
    *,
    train_per_class: int | None = None,
    val_per_class: int | None = None,
    held_out_per_class: int | None = None,
) -> Contents:
    """Choose images of each class by their place in the archives; keys and labels stay.

    Args:
        contents: of whole archives, with labeled splits `train` and `val`; others stay whole.
        train_per_class: the first so many of each class; None takes all.
        val_per_class: the same of the validation images.
        held_out_per_class: the last so many training images of each class are the validation
            images, in place of those of the archives; None takes those of the archives.

    Raises:
        InputError: a class has too few images.
    """
    numbers = Counter((entry.split, entry.label) for entry in contents.images())
    held_out = held_out_per_class or 0
    limits = {"train": train_per_class, "val": val_per_class}
    for label, name in enumerate(contents.classes):
        has = {"train": numbers["train", label] - held_out, "val": numbers["val", label]}
        if held_out_per_class is not None:
            has["val"] = held_out
        if held_out and has["train"] < 1:
            raise InputError(
                f"subset.held_out_per_class: {held_out} leaves none of the "
                f"{numbers['train', label]} training images of class '{name}'; lower it"
            )
        for split, limit in limits.items():
            if limit is not None and limit > has[split]:
                raise InputError(
                    f"subset.{split}_per_class: {limit}, but class '{name}' has {has[split]}; "
                    "lower it"
                )

    def moved(split: str, label: int, place: int) -> tuple[str, int]:
        """Return the split of an image, and its place among those of its class there."""
        first = numbers["train", label] - held_out
        if split == "train" and place >= first:
            return "val", place - first
        return split, place

    def images() -> Iterator[Entry]:
        made_from = {split: split for split, _ in numbers}
        if held_out_per_class is not None:
            made_from["val"] = "train"
        for wanted, read in made_from.items():
            seen: Counter[int] = Counter()
            for entry in contents.images():
                if entry.split != read:
                    continue
                split, place = moved(entry.split, entry.label, seen[entry.label])
                seen[entry.label] += 1
                limit = limits.get(split)
                if split == wanted and (limit is None or place < limit):
                    yield entry._replace(split=split)

    return replace(contents, images=images, counts=None)
