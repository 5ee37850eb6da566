"""Data sets stored as arrays of pixels: Fashion-MNIST, CIFAR-10 and 100, STL-10.

Of each, `val` is made of the test images.
"""

import io
import pickle
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from folk.data.datasets.members import open_archive, read_unpacked
from folk.data.datasets.source import Entry, RawImage, Source, check_classes
from folk.evidence.core.errors import InputError, brief

CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist(kind: str, archives: Mapping[str, Path], num_classes: int) -> Source:
    """Read four IDX files, gzipped or plain, of gray images of clothes of 28 x 28 pixels.

    The background of every image is 0. So each has a mask: 0 there, the label + 1 elsewhere.

    Args:
        kind: `fashion-mnist` or `fashion-mnist-small`.
        archives: images and labels, each of `train` and `test`.
        num_classes: the first of `CLOTHES`; all but in a miniature.

    Raises:
        InputError: a file is damaged, is not IDX, or does not belong to the others.

    Source: zalandoresearch/fashion-mnist, README.md: the files, and the table of labels.
    """
    images: dict[str, UInt8[np.ndarray, "n 28 28"]] = {}
    labels: dict[str, UInt8[np.ndarray, "n"]] = {}
    for split, word in {"train": "train", "val": "test"}.items():
        path = archives[f"{word}-labels"]
        images[split] = read_idx(archives[f"{word}-images"], 3)
        labels[split] = read_idx(path, 1)
        if len(labels[split]) != len(images[split]):
            raise InputError(
                f"{path}: {len(labels[split])} labels of {len(images[split])} images; get the "
                "official file"
            )
        if (labels[split] >= num_classes).any():
            raise InputError(
                f"{path}: invalid label {labels[split].max()}, expected below {num_classes} "
                "(archive.classes); get the official file"
            )

    def mask(split: str, index: int) -> UInt8[np.ndarray, "28 28"]:
        marks = np.where(images[split][index] > 0, labels[split][index] + 1, 0)
        return marks.astype(np.uint8)

    def entries() -> Iterator[Entry]:
        for split, of_split in labels.items():
            for index, label in enumerate(of_split.tolist()):
                key = f"{split}/{index:05d}"
                image = RawImage(key, partial(images[split].__getitem__, index))
                yield Entry(key, label, split, image, RawImage(key, partial(mask, split, index)))

    counts = {split: len(of_split) for split, of_split in labels.items()}
    classes = CLOTHES[:num_classes]
    return Source(
        kind,
        classes,
        entries,
        counts,
        segmentation_classes=("background", *classes),
        image_size=(28, 28),
    )


def read_idx(path: Path, num_axes: int) -> UInt8[np.ndarray, "..."]:
    """Read the array of an IDX file.

    Raises:
        InputError: the file is missing, damaged, or has no bytes along so many axes.

    Source: the page of MNIST, "The IDX file format".
    """
    data = read_unpacked(path)
    start = 4 * (1 + num_axes)
    sizes = np.frombuffer(data[4:start], ">u4").tolist()
    is_bytes = data[:4] == bytes([0, 0, 8, num_axes])
    if not is_bytes or len(data) != start + np.prod(sizes):
        raise InputError(
            f"{path}: expected an IDX file of unsigned bytes with {num_axes} axes; get the "
            "official file"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(sizes)


# The folder of each archive, its files by split, the file of names, and keys of labels and names.
CIFAR = {
    "cifar-10": (
        "cifar-10-batches-py",
        {"train": [f"data_batch_{i}" for i in range(1, 6)], "val": ["test_batch"]},
        "batches.meta",
        "labels",
        "label_names",
    ),
    "cifar-100": (
        "cifar-100-python",
        {"train": ["train"], "val": ["test"]},
        "meta",
        "fine_labels",
        "fine_label_names",
    ),
}


def cifar(kind: str, archives: Mapping[str, Path], num_classes: int) -> Source:
    """Read the tar for Python, of color images of 32 x 32 pixels.

    Args:
        kind: `cifar-10` or `cifar-100`.
        archives: `images`, the only one.
        num_classes: number of names in the archive.

    Raises:
        InputError: the archive is damaged, or is not the official one.

    Source: the sets' page, https://www.cs.toronto.edu/~kriz/cifar.html: files, keys, order of
        pixels.
    """
    path = archives["images"]
    folder, files, meta, labels_key, names_key = CIFAR[kind]
    found: dict[str, Any] = {}
    with open_archive(path) as members:
        for member in members:
            name = member.name.removeprefix(f"{folder}/")
            if name in (meta, *files["train"], *files["val"]):
                try:
                    found[name] = _Unpickler(io.BytesIO(member.read()), encoding="latin1").load()
                except Exception as error:  # damaged pickles raise nearly any
                    raise InputError(
                        f"{member.where}: expected a pickle of images ({type(error).__name__}: "
                        f"{error}); get the official archive"
                    ) from error
    try:
        classes: list[str] = found[meta][names_key]
        labels = {s: np.concatenate([found[f][labels_key] for f in files[s]]) for s in files}
        # Stored color by color.
        pixels = {
            split: np.concatenate([found[file]["data"] for file in files[split]])
            .reshape(len(labels[split]), 3, 32, 32)
            .transpose(0, 2, 3, 1)
            for split in files
        }
        if max(of_split.max() for of_split in labels.values()) >= len(classes):
            raise ValueError("a label without a name")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: missing or unexpected in {folder} ({type(error).__name__}: {error}); get the "
            "official archive"
        ) from error
    check_classes(path, num_classes, classes)

    def images() -> Iterator[Entry]:
        for split, of_split in pixels.items():
            for index, label in enumerate(labels[split].tolist()):
                key = f"{split}/{index:05d}"
                image = RawImage(key, partial(np.ascontiguousarray, of_split[index]))
                yield Entry(key, label, split, image)

    counts = {split: len(of_split) for split, of_split in labels.items()}
    return Source(kind, classes, images, counts, image_size=(32, 32))


class _Unpickler(pickle.Unpickler):
    """Reader of arrays alone, since a pickle can run any program."""

    def find_class(self, module: str, name: str) -> Any:
        arrays = ("numpy.core.multiarray", "numpy._core.multiarray")
        if (module in arrays and name == "_reconstruct") or (
            module == "numpy" and name in ("ndarray", "dtype")
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")


STL10 = {"train": "train", "val": "test", "unlabeled": "unlabeled"}  # words in names of files


def stl10(kind: str, archives: Mapping[str, Path], num_classes: int) -> Source:
    """Read the binary tar: few labeled and many unlabeled color images of 96 x 96 pixels.

    `unlabeled` is for pre-training alone. The ten folds of the training images are published
    choices for few-label runs.

    Args:
        kind: `stl-10`.
        archives: `images`, the only one.
        num_classes: number of names in the archive.

    Raises:
        InputError: the archive is damaged, or is not the official one.

    Source: the set's page, https://cs.stanford.edu/~acoates/stl10: files, order of pixels, labels.
    """
    path, size = archives["images"], 3 * 96 * 96
    labels: dict[str, list[int]] = {}
    with open_archive(path) as members:
        files = {member.file: member for member in members}
        try:
            classes = files["class_names.txt"].read().decode(errors="replace").split()
            check_classes(path, num_classes, classes)
            for split, word in STL10.items():
                number, rest = divmod(files[f"{word}_X.bin"].size, size)
                labels[split] = [-1] * number
                if split != "unlabeled":  # labels count from 1
                    labels[split] = [label - 1 for label in files[f"{word}_y.bin"].read()]
                valid = split == "unlabeled" or all(0 <= n < num_classes for n in labels[split])
                if rest or len(labels[split]) != number or not valid:
                    raise InputError(
                        f"{path}: {word}_X.bin and its labels do not fit; get the official archive"
                    )
            folds = _folds_of_stl10(path, files["fold_indices.txt"].read(), len(labels["train"]))
        except KeyError as error:
            raise InputError(f"{path}: missing {error}; get the official archive") from error

    def images() -> Iterator[Entry]:
        with open_archive(path) as members:
            files = {member.file: member for member in members}
            for split, word in STL10.items():
                file = files[f"{word}_X.bin"].open()
                for index, label in enumerate(labels[split]):
                    key = f"{split}/{index:06d}"
                    yield Entry(key, label, split, RawImage(key, partial(_of_stl10, file, index)))

    counts = {split: len(of_split) for split, of_split in labels.items()}
    return Source(kind, classes, images, counts, image_size=(96, 96), folds=folds)


def _folds_of_stl10(path: Path, listed: bytes, num_train: int) -> list[list[int]]:
    """Read the positions of each fold's images, a line each, counted from 0."""
    try:
        folds = [[int(word) for word in line.split()] for line in listed.splitlines()]
        if not all(0 <= position < num_train for fold in folds for position in fold):
            raise ValueError(f"a position outside of 0 to {num_train - 1}")
    except ValueError as error:
        raise InputError(
            f"{path}: fold_indices.txt: {brief(error)}; get the official archive"
        ) from error
    return folds


def _of_stl10(file: Any, index: int) -> UInt8[np.ndarray, "96 96 3"]:
    """Read an image, which is stored color by color and column by column."""
    file.seek(index * 3 * 96 * 96)
    colors = np.frombuffer(file.read(3 * 96 * 96), np.uint8).reshape(3, 96, 96)
    return np.ascontiguousarray(colors.transpose(2, 1, 0))
