"""Which labeled images a few-label run may see."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from folk.evidence.core.errors import InputError


def draw_split(
    labels: Int[np.ndarray, "n"],
    keys: Sequence[str],
    *,
    per_class: int | None = None,
    fraction: float | None = None,
    seed: int,
    num_classes: int = 0,
) -> Int[np.ndarray, "m"]:
    """Draw the same number, or share, of images from every class.

    The draw depends on the seed and the keys of a class alone, not on the order of the images;
    with the same seed, a smaller draw is part of a larger one.

    Args:
        labels: classes; -1, unlabeled, is never drawn.
        keys: names of the same images.
        per_class: images of each class; give this or `fraction`.
        fraction: share of each class in (0, 1], rounded to whole images.
        seed: of the draw.
        num_classes: of the data set; one of them without an image has too few. With 0 only the
            classes that have images are drawn from.

    Returns:
        positions of the drawn images, ascending.

    Raises:
        InputError: a class has too few images, or nothing is drawn.
    """
    assert (per_class is None) != (fraction is None)
    assert len(labels) == len(keys)
    names = np.asarray(keys, dtype=object)
    drawn = []
    found = np.unique(labels[labels >= 0])
    for label in np.union1d(found, np.arange(num_classes)) if len(found) else found:
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(names[members])]
        count = per_class if per_class is not None else round((fraction or 0.0) * len(members))
        if count < 1:
            raise InputError(
                f"split: fraction {fraction} of the {len(members)} images of class {label} is "
                "none; raise it or use per_class"
            )
        if count > len(members):
            raise InputError(
                f"split: class {label} has {len(members)} images, per_class asks for {count}"
            )
        rng = np.random.default_rng((seed, int(label)))
        drawn.append(rng.permutation(members)[:count])
    if not drawn:
        raise InputError("split: none of the images has a label, so nothing can be drawn")
    return np.sort(np.concatenate(drawn))


def read_list(path: Path, keys: Sequence[str]) -> Int[np.ndarray, "m"]:
    """Find the images that a list names.

    Args:
        path: a text file with one image a line, by its key or its file name alone.
        keys: names of the images to choose from.

    Returns:
        positions of the named images, ascending.

    Raises:
        InputError: the list is missing or empty, names an image twice, one that does not exist, or
            a file name that several images have.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such list")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file; give one image a line") from error
    wanted = [line.strip() for line in lines if line.strip()]
    if not wanted:
        raise InputError(f"{path}: the list is empty; give one image a line")
    base_names = [key.rsplit("/", 1)[-1] for key in keys]
    shared = {name for name, count in Counter(base_names).items() if count > 1}
    places = {name: i for i, name in enumerate(base_names)} | {k: i for i, k in enumerate(keys)}
    known_keys = set(keys)
    _refuse(path, [w for w in wanted if w not in places], "are not in the data set")
    _refuse(
        path,
        [w for w in wanted if w in shared and w not in known_keys],
        "are file names that several images have; give keys",
    )
    found = Counter(places[w] for w in wanted)
    _refuse(path, [keys[i] for i, count in found.items() if count > 1], "are named twice")
    return np.sort(np.fromiter(found, dtype=np.int64))


def _refuse(path: Path, names: Sequence[str], why: str) -> None:
    if names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(f"{path}: {len(names)} of its images {why}: {shown}")
