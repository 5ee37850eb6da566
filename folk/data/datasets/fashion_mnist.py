"""Fashion-MNIST: gray images of clothes, 28 x 28 pixels, in four IDX files, gzipped or plain.

Source: zalandoresearch/fashion-mnist, README.md: the files, and the table of labels. The IDX
    format: the page of MNIST, "The IDX file format".
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from folk.data.datasets.archives import Contents, Entry, RawImages
from folk.data.datasets.members import Member, read_unpacked
from folk.data.datasets.miniature import LABELS, NUMBERS, StandIn, idx_files
from folk.evidence.core.errors import InputError

CLASSES = (
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
SPLITS = {"train": "train", "test": "val"}  # by the word in the names of the files

_BYTES = 8  # the code of IDX for unsigned bytes
_PLACES = ("image", "mask")


def fashion_mnist(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the four files; `val` is made of the test images.

    The background of every image is 0. So each has a mask: 0 there, the label + 1 elsewhere.

    Args:
        kind: `fashion-mnist` or `fashion-mnist-small`.
        archives: images and labels, each of `train` and `test`.
        num_classes: the first of `CLASSES`; all but in a miniature.

    Raises:
        InputError: a file is damaged, is not IDX, or does not belong to the others.
    """
    pairs = {
        split: (archives[f"{word}-images"], archives[f"{word}-labels"])
        for word, split in SPLITS.items()
    }
    images = {split: read_idx(path, 3) for split, (path, _) in pairs.items()}
    labels = {split: read_idx(path, 1) for split, (_, path) in pairs.items()}
    for split, (_, path) in pairs.items():
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

    def entries() -> Iterator[Entry]:
        for split, (path, _) in pairs.items():
            raw = RawImages(str(path), partial(_image_or_mask, images[split], labels[split]))
            for index, label in enumerate(labels[split].tolist()):
                image, mask = (Member(f"image {index}", 0, (index, word)) for word in _PLACES)
                yield Entry(f"{split}/{index:05d}", label, split, raw, image, mask)

    counts = {split: len(of_split) for split, of_split in labels.items()}
    classes = CLASSES[:num_classes]
    return Contents(
        kind,
        classes,
        entries,
        counts,
        segmentation_classes=("background", *classes),
        recode=lambda mask, _where: np.asarray(mask),
    )


def _image_or_mask(
    images: UInt8[np.ndarray, "n 28 28"], labels: UInt8[np.ndarray, "n"], place: tuple[int, str]
) -> UInt8[np.ndarray, "28 28"]:
    index, word = place
    image = images[index]
    return image if word == "image" else np.where(image > 0, labels[index] + 1, 0).astype(np.uint8)


def read_idx(path: Path, num_axes: int) -> UInt8[np.ndarray, "..."]:
    """Read the array of an IDX file.

    Raises:
        InputError: the file is missing, damaged, or has no bytes along so many axes.
    """
    data = read_unpacked(path)
    start = 4 * (1 + num_axes)
    sizes = np.frombuffer(data[4:start], ">u4").tolist()
    if data[:4] != bytes([0, 0, _BYTES, num_axes]) or len(data) != start + np.prod(sizes):
        raise InputError(
            f"{path}: expected an IDX file of unsigned bytes with {num_axes} axes; get the "
            "official file"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(sizes)


def stand_in(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write miniatures of the four files."""
    return StandIn(idx_files(folder, files, *LABELS), splits=2, images=NUMBERS)
