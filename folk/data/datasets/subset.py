"""A part of labeled archives: some classes, few images of each, or training images held out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from folk.data.datasets.archives import Contents, Entry
from folk.evidence.core.errors import InputError


def chosen(
    contents: Contents,
    numbers: Mapping[tuple[str, int], int],
    *,
    classes: Sequence[str] | None = None,
    train_per_class: int | None = None,
    val_per_class: int | None = None,
    held_out_per_class: int | None = None,
) -> Contents:
    """Choose images of each class by their place in the archives; their keys stay.

    Args:
        contents: of whole archives, with labeled splits `train` and `val`; images without a label
            stay.
        numbers: images by split and label in them.
        classes: WordNet ids of the classes, or names where there are no ids; None takes all.
            Labels count these alone, in the order of the archives' classes.
        train_per_class: the first so many of each class; None takes all.
        val_per_class: the same of the validation images.
        held_out_per_class: the last so many training images of each class are the validation
            images, in place of those of the archives; None takes those of the archives.

    Raises:
        InputError: an unknown class, or one with too few images.
    """
    names = list(contents.wnids or contents.classes)
    for name in classes or ():
        if name not in names:
            raise InputError(f"subset.classes: unknown class '{name}', not in the archives")
    kept = [label for label, name in enumerate(names) if classes is None or name in classes]
    held_out = held_out_per_class or 0
    limits = {"train": train_per_class, "val": val_per_class}
    for label in kept:
        train = numbers.get(("train", label), 0)
        if held_out and held_out >= train:
            raise InputError(
                f"subset.held_out_per_class: {held_out} leaves none of the {train} training "
                f"images of class '{names[label]}'; lower it"
            )
        has = {"train": train - held_out, "val": held_out or numbers.get(("val", label), 0)}
        for split, limit in limits.items():
            if limit is not None and limit > has[split]:
                raise InputError(
                    f"subset.{split}_per_class: {limit}, but class '{names[label]}' has "
                    f"{has[split]}; lower it"
                )
    label_of = {label: number for number, label in enumerate(kept)} | {-1: -1}

    def from_split(read: str, wanted: str) -> Iterator[Entry]:
        """Yield the images that go from a split of the archives to one of the part."""
        seen: Counter[int] = Counter()
        for entry in contents.images():
            if entry.split != read or entry.label not in label_of:
                continue
            place, split = seen[entry.label], read
            seen[entry.label] += 1
            first = numbers[read, entry.label] - held_out
            if read == "train" and place >= first:
                place, split = place - first, "val"
            limit = limits.get(split)
            if split == wanted and (limit is None or place < limit):
                yield entry._replace(split=split, label=label_of[entry.label])

    def images() -> Iterator[Entry]:
        made_from = {split: split for split, _ in numbers}
        if held_out:
            made_from["val"] = "train"
        for wanted, read in made_from.items():
            yield from from_split(read, wanted)

    return replace(
        contents,
        classes=[contents.classes[label] for label in kept],
        wnids=None if contents.wnids is None else [names[label] for label in kept],
        images=images,
        counts=None,
    )
