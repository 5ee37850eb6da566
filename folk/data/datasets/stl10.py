"""STL-10: few labeled and many unlabeled color images of 96 x 96 pixels, in the binary tar.

The ten folds of the training images stay in the archive: see `fold_indices.txt` there.

Source: the set's page, https://cs.stanford.edu/~acoates/stl10: files, order of pixels, labels.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from folk.data.datasets.archives import Contents, Entry, RawImages
from folk.data.datasets.members import Archive, Member, open_archive
from folk.data.datasets.miniature import LABELS, NUMBERS, StandIn, write_tar
from folk.evidence.core.errors import InputError

TOP = "stl10_binary"
SIDE = 96  # pixels
NUM_BYTES = 3 * SIDE * SIDE  # of an image
SPLITS = {"train": "train", "val": "test", "unlabeled": "unlabeled"}  # by the words of file names
CLASSES = "class_names.txt"


def stl10(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the archive; `val` is made of the test images, `unlabeled` is for pre-training alone.

    Args:
        kind: `stl-10`.
        archives: `images`, the only one.
        num_classes: number of names in the archive.

    Raises:
        InputError: the archive is damaged, or is not the official one.
    """
    path = archives["images"]
    with open_archive(path) as archive:
        files = {member.name.removeprefix(f"{TOP}/"): member for member in archive.members()}
        wanted = [CLASSES, *(f"{word}_X.bin" for word in SPLITS.values())]
        wanted += [f"{SPLITS[split]}_y.bin" for split in ("train", "val")]
        for name in wanted:
            if name not in files:
                raise InputError(f"{path}: missing {TOP}/{name}; get the official archive")
        classes = archive.read(files[CLASSES]).decode(errors="replace").split()
        if len(classes) != num_classes:
            raise InputError(
                f"{path}: expected {num_classes} classes (archive.classes), got {len(classes)}"
            )
        labels: dict[str, list[int]] = {}
        for split, word in SPLITS.items():
            number, rest = divmod(files[f"{word}_X.bin"].size, NUM_BYTES)
            labels[split] = [-1] * number
            if split != "unlabeled":  # labels count from 1
                stored = archive.read(files[f"{word}_y.bin"])
                labels[split] = [label - 1 for label in stored]
            valid = split == "unlabeled" or all(0 <= n < num_classes for n in labels[split])
            if rest or len(labels[split]) != number or not valid:
                raise InputError(
                    f"{path}: {word}_X.bin and its labels do not fit; get the official archive"
                )

    def images() -> Iterator[Entry]:
        with open_archive(path) as archive:
            for split, word in SPLITS.items():
                file = files[f"{word}_X.bin"]
                raw = RawImages(archive.locate(file), partial(_pixels, archive))
                for index, label in enumerate(labels[split]):
                    member = Member(f"image {index}", NUM_BYTES, file.place + index * NUM_BYTES)
                    yield Entry(f"{split}/{index:06d}", label, split, raw, member)

    return Contents(kind, classes, images, {split: len(of) for split, of in labels.items()})


def _pixels(archive: Archive, place: Any) -> UInt8[np.ndarray, "96 96 3"]:
    """Read an image, which is stored color by color and column by column."""
    data = archive.read(Member("image", NUM_BYTES, place))
    colors = np.frombuffer(data, np.uint8).reshape(3, SIDE, SIDE)
    return np.ascontiguousarray(colors.transpose(2, 1, 0))


def stand_in(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write a miniature of the archive, with two unlabeled images."""
    path = write_tar(folder / files["images"], miniature_files(), "w:gz")
    return StandIn({"images": path}, splits=3, images=NUMBERS | {"unlabeled": 2})


def miniature_files() -> dict[str, bytes]:
    """Make the files of the archive; images are noise."""
    rng = np.random.default_rng(0)
    made = {CLASSES: b"airplane\nbird\ncar\ncat\n", "fold_indices.txt": b"0 1 \n"}
    for word, labels in zip(("test", "train", "unlabeled"), (*LABELS[::-1], (0, 0)), strict=True):
        made[f"{word}_X.bin"] = rng.bytes(len(labels) * NUM_BYTES)
        if word != "unlabeled":
            made[f"{word}_y.bin"] = bytes(label + 1 for label in labels)
    return {f"{TOP}/{name}": data for name, data in made.items()}
