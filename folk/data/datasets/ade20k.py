"""ADE20K from the scene parsing benchmark's archive: images and annotations of 150 classes.

Annotations in the archive count from 1, and 0 is "no class"; here classes count from 0, and
ignored pixels are 255.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from folk.data.datasets.archives import Contents, Entry
from folk.data.datasets.members import Archive, Member, open_archive
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.segmentation import IGNORE

SPLITS = {"training": "train", "validation": "val"}
CLASSES = "objectInfo150.txt"


def ade20k(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the contents of ADEChallengeData2016.zip; images have no image-level label.

    Args:
        kind: `ade20k`.
        archives: `images`, the zip.
        num_classes: expected length of its table of classes.

    Raises:
        InputError: the archive is damaged, or lacks an annotation, an image or its table.
    """
    path = archives["images"]
    with open_archive(path) as archive:
        names = _class_names(archive)
        pairs = _pairs(archive)
    if len(names) != num_classes:
        raise InputError(
            f"{path}: expected {num_classes} classes (archive.classes), {CLASSES} has {len(names)}"
        )

    def images() -> Iterator[Entry]:
        with open_archive(path) as archive:
            for split, inside in _pairs(archive).items():
                for file, (image, annotation) in inside.items():
                    yield Entry(f"{split}/{file}", -1, split, archive, image, annotation)

    def recode(annotation: Any, where: Callable[[], str]) -> Any:
        ids = np.asarray(annotation)
        if ids.max() > num_classes:
            raise InputError(f"{where()}: invalid class {ids.max()}; expected 0 to {num_classes}")
        return np.where(ids == 0, IGNORE, ids - 1).astype(np.uint8)

    counts = {split: len(inside) for split, inside in pairs.items()}
    return Contents(kind, [], images, counts, segmentation_classes=names, recode=recode)


def _pairs(archive: Archive) -> dict[str, dict[str, tuple[Member, Member]]]:
    """Image and annotation by split and file name, both sorted."""
    found: dict[tuple[str, str], dict[str, Member]] = {}
    for member in archive.members():
        parts = member.name.split("/")
        if len(parts) >= 3 and parts[-3] in ("images", "annotations") and parts[-2] in SPLITS:
            found.setdefault((parts[-3], SPLITS[parts[-2]]), {})[parts[-1]] = member
    pairs: dict[str, dict[str, tuple[Member, Member]]] = {}
    for split in SPLITS.values():
        images, marks = found.get(("images", split), {}), found.get(("annotations", split), {})
        if not images:
            raise InputError(f"{archive.where}: no image of split '{split}'; get it again")
        stems = {Path(file).stem: member for file, member in marks.items()}
        if len(stems) != len(images):
            raise InputError(
                f"{archive.where}: {len(images)} images and {len(stems)} annotations of split "
                f"'{split}'; get the official archive"
            )
        pairs[split] = {}
        for file, image in sorted(images.items()):
            if Path(file).stem not in stems:
                raise InputError(f"{archive.locate(image)}: missing annotation; get it again")
            pairs[split][file] = (image, stems[Path(file).stem])
    return pairs


def _class_names(archive: Archive) -> list[str]:
    """Read the last column of the table of classes, whose first column counts from 1."""
    for member in archive.members():
        if f"/{member.name}".endswith(f"/{CLASSES}"):
            lines = archive.read(member).decode("utf-8", errors="replace").splitlines()[1:]
            rows = [[cell.strip() for cell in line.split("\t")] for line in lines if line.strip()]
            if [row[0] for row in rows] != [str(i + 1) for i in range(len(rows))]:
                raise InputError(f"{archive.locate(member)}: lines are not numbered from 1")
            return [row[-1] for row in rows]
    raise InputError(f"{archive.where}: no {CLASSES} in it; get the official archive")
