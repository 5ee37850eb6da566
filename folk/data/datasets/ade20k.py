"""ADE20K from the scene parsing benchmark's archive: images and annotations of 150 classes.

Annotations in the archive count from 1, and 0 is "no class"; here classes count from 0, and
ignored pixels are 255.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from folk.data.datasets.members import Member, open_archive
from folk.data.datasets.source import Entry, Source, check_classes
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.segmentation import IGNORE

SPLITS = {"training": "train", "validation": "val"}
CLASSES = "objectInfo150.txt"


def ade20k(kind: str, archives: Mapping[str, Path], num_classes: int) -> Source:
    """Read the directory of ADEChallengeData2016.zip; images have no image-level label.

    Args:
        kind: `ade20k`.
        archives: `images`, the zip.
        num_classes: expected length of its table of classes.

    Raises:
        InputError: the archive is damaged, or lacks an annotation, an image or its table.
    """
    path = archives["images"]
    with open_archive(path) as files:
        names, pairs = _read(path, files)
    check_classes(path, num_classes, names)

    def images() -> Iterator[Entry]:
        with open_archive(path) as files:
            for split, inside in _read(path, files)[1].items():
                for image, annotation in inside:
                    yield Entry(f"{split}/{image.file}", -1, split, image, annotation)

    def recode(annotation: Any, where: str) -> Any:
        ids = np.asarray(annotation)
        if ids.max() > num_classes:
            raise InputError(f"{where}: invalid class {ids.max()}; expected 0 to {num_classes}")
        return np.where(ids == 0, IGNORE, ids - 1).astype(np.uint8)

    counts = {split: len(inside) for split, inside in pairs.items()}
    return Source(kind, [], images, counts, segmentation_classes=names, recode=recode)


def _read(
    path: Path, files: Iterator[Member]
) -> tuple[list[str], dict[str, list[tuple[Member, Member]]]]:
    """Names of the classes, and images with annotations by split, in the order of their names."""
    names = None
    found: dict[tuple[str, str], dict[str, Member]] = {}  # by file name without suffix
    for member in files:
        parts = member.name.split("/")
        if len(parts) >= 3 and parts[-3] in ("images", "annotations") and parts[-2] in SPLITS:
            found.setdefault((parts[-3], SPLITS[parts[-2]]), {})[Path(parts[-1]).stem] = member
        elif parts[-1] == CLASSES:
            names = _class_names(member)
    if names is None:
        raise InputError(f"{path}: no {CLASSES} in it; get the official archive")
    pairs = {}
    for split in SPLITS.values():
        images, marks = found.get(("images", split), {}), found.get(("annotations", split), {})
        if not images:
            raise InputError(f"{path}: no image of split '{split}'; get it again")
        if len(marks) != len(images):
            raise InputError(
                f"{path}: {len(images)} images and {len(marks)} annotations of split '{split}'; "
                "get the official archive"
            )
        for stem, image in images.items():
            if stem not in marks:
                raise InputError(f"{image.where}: missing annotation; get it again")
        pairs[split] = [(images[stem], marks[stem]) for stem in sorted(images)]
    return names, pairs


def _class_names(table: Member) -> list[str]:
    """Read the last column of the table of classes, whose first column counts from 1."""
    lines = table.read().decode("utf-8", errors="replace").splitlines()[1:]
    rows = [[cell.strip() for cell in line.split("\t")] for line in lines if line.strip()]
    if [row[0] for row in rows] != [str(i + 1) for i in range(len(rows))]:
        raise InputError(f"{table.where}: lines are not numbered from 1")
    return [row[-1] for row in rows]
