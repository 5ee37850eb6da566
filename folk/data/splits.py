"""Subsets of labeled images for few-label runs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from folk.data.shards import PreparedData
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
        labels: class of each image; -1, unlabeled, is never drawn.
        keys: names of the same images.
        per_class: images of each class; give this or `fraction`.
        fraction: share of each class in (0, 1], rounded to whole images.
        seed: seed of the draw.
        num_classes: classes of the data set, each of which needs images. With 0 only classes that
            have images are drawn from.

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
                f"split: fraction {fraction} of the {len(members)} images of class {label} is no "
                "whole image; raise it or use per_class"
            )
        if count > len(members):
            raise InputError(
                f"split: class {label} has {len(members)} images, fewer than per_class {count}"
            )
        rng = np.random.default_rng((seed, int(label)))
        drawn.append(rng.permutation(members)[:count])
    if not drawn:
        raise InputError("split: no image has a label; use a data set with labels")
    return np.sort(np.concatenate(drawn))


def rows_of_fold(data: PreparedData, fold: int) -> Int[np.ndarray, "m"]:
    """Return the ascending positions of the training images of a published fold.

    Args:
        data: made from an archive that lists folds.
        fold: number of the fold, counted from 0.

    Raises:
        InputError: the data set has no such fold.
    """
    folds = data.folds or ()
    if fold >= len(folds):
        raise InputError(
            f"{data.folder / 'dataset.json'}: fold {fold} of '{data.name}', which has {len(folds)} "
            "folds; change the recipe's fold or data"
        )
    return np.sort(folds[fold])


def read_list(path: Path, keys: Sequence[str]) -> Int[np.ndarray, "m"]:
    """Find the images that a list names.

    Args:
        path: a text file with one image per line, by its key or its file name alone.
        keys: names of the images to choose from.

    Returns:
        positions of the named images, ascending.

    Raises:
        InputError: the list is missing or empty, or names a duplicate image, an unknown one or an
            ambiguous file name.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such list")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file; give one image per line") from error
    wanted = [line.strip() for line in lines if line.strip()]
    if not wanted:
        raise InputError(f"{path}: the list is empty; give one image per line")
    base_names = [key.rsplit("/", 1)[-1] for key in keys]
    shared = {name for name, count in Counter(base_names).items() if count > 1}
    places = {name: i for i, name in enumerate(base_names)} | {k: i for i, k in enumerate(keys)}
    known_keys = set(keys)
    _reject(path, [w for w in wanted if w not in places], "unknown images")
    _reject(
        path,
        [w for w in wanted if w in shared and w not in known_keys],
        "ambiguous file names (give keys)",
    )
    found = Counter(places[w] for w in wanted)
    _reject(path, [keys[i] for i, count in found.items() if count > 1], "duplicate images")
    return np.sort(np.fromiter(found, dtype=np.int64))


def _reject(path: Path, names: Sequence[str], problem: str) -> None:
    if names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(f"{path}: {len(names)} {problem}: {shown}")
