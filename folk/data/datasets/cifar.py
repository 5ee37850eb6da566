"""CIFAR-10 and CIFAR-100: color images of 32 x 32 pixels, in the tar for Python.

Its files are pickles of Python 2. A pickle can run any program, so only the three names of NumPy
that these files hold are admitted, and not even they are NumPy's own here.

Source: the sets' page, https://www.cs.toronto.edu/~kriz/cifar.html: files, keys, order of pixels.
"""

import io
import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from folk.data.datasets.archives import Contents, Entry, RawImages
from folk.data.datasets.members import Member, open_archive
from folk.data.datasets.miniature import LABELS, NUMBERS, StandIn, write_tar
from folk.evidence.core.errors import InputError

SIDE = 32  # pixels


class Layout(NamedTuple):
    """Files of an archive, and the keys in them."""

    top: str
    splits: dict[str, tuple[str, ...]]
    meta: str
    labels: str
    names: str


LAYOUTS = {
    "cifar-10": Layout(
        top="cifar-10-batches-py",
        splits={"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "val": ("test_batch",)},
        meta="batches.meta",
        labels="labels",
        names="label_names",
    ),
    "cifar-100": Layout(
        top="cifar-100-python",
        splits={"train": ("train",), "val": ("test",)},
        meta="meta",
        labels="fine_labels",
        names="fine_label_names",
    ),
}


def cifar(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the archive; `val` is made of the test images.

    Args:
        kind: `cifar-10` or `cifar-100`.
        archives: `images`, the only one.
        num_classes: number of names in the archive.

    Raises:
        InputError: the archive is damaged, or is not the official one.
    """
    path, layout = archives["images"], LAYOUTS[kind]
    wanted = [layout.meta, *(name for names in layout.splits.values() for name in names)]
    found: dict[str, dict[bytes, Any]] = {}
    with open_archive(path) as archive:
        for member in archive.members():
            name = member.name.removeprefix(f"{layout.top}/")
            if name in wanted:
                found[name] = _unpickled(archive.read(member), archive.locate(member))
    for name in wanted:
        if name not in found:
            raise InputError(f"{path}: missing {layout.top}/{name}; get the official archive")
    try:
        classes = [name.decode() for name in found[layout.meta][layout.names.encode()]]
        pixels = {
            split: np.concatenate([found[name][b"data"].pixels() for name in names])
            for split, names in layout.splits.items()
        }
        labels = {
            split: [int(n) for name in names for n in found[name][layout.labels.encode()]]
            for split, names in layout.splits.items()
        }
        if any(len(of_split) != len(labels[split]) for split, of_split in pixels.items()):
            raise ValueError("images and labels differ in number")
        if not all(0 <= n < len(classes) for of_split in labels.values() for n in of_split):
            raise ValueError("a label without a name")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: unexpected content ({type(error).__name__}: {error}); get the official "
            "archive"
        ) from error
    if len(classes) != num_classes:
        raise InputError(
            f"{path}: expected {num_classes} classes (archive.classes), got {len(classes)}"
        )

    def images() -> Iterator[Entry]:
        for split, of_split in pixels.items():
            raw = RawImages(f"{path}: {split}", of_split.__getitem__)
            for index, label in enumerate(labels[split]):
                yield Entry(
                    f"{split}/{index:05d}", label, split, raw, Member(f"image {index}", 0, index)
                )

    return Contents(kind, classes, images, {split: len(of) for split, of in labels.items()})


class _Array:
    """NumPy's array as a pickle describes it, without its code."""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def pixels(self) -> UInt8[np.ndarray, "n 32 32 3"]:
        """Read images, which are stored color by color."""
        _, shape, kind, fortran, data = self.state
        if kind.args[0] != b"u1" or shape[1:] != (3 * SIDE * SIDE,):
            raise ValueError(f"expected bytes of {3 * SIDE * SIDE} columns")
        rows = np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")
        return np.ascontiguousarray(rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))


class _Unpickler(pickle.Unpickler):
    admitted = (
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.admitted:
            raise pickle.UnpicklingError(f"{module}.{name} is not admitted")
        return _Array


def _unpickled(data: bytes, where: str) -> dict[bytes, Any]:
    try:
        values = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return dict(values)
    except Exception as error:  # damaged pickles raise nearly any
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{where}: expected a pickle of images ({reason}); get the official archive"
        ) from error


def stand_in(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write a miniature of the archive."""
    top = LAYOUTS[kind].top
    data = {f"{top}/{name}": made for name, made in miniature_files(kind, *LABELS).items()}
    path = write_tar(folder / files["images"], data, "w:gz")
    return StandIn({"images": path}, splits=2, images=NUMBERS)


def miniature_files(kind: str, train: Sequence[int], test: Sequence[int]) -> dict[str, bytes]:
    """Make the files of an archive, as Python 2 has pickled them; images are noise.

    Args:
        kind: `cifar-10` or `cifar-100`.
        train: labels of the training images, at least one for each file.
        test: labels of the test images.
    """
    layout = LAYOUTS[kind]
    names = [f"class {n}" for n in range(max(train) + 1)]
    made = {}
    for seed, (split, labels) in enumerate((("train", train), ("val", test))):
        pixels = np.random.default_rng(seed).integers(
            0, 255, (len(labels), 3 * SIDE * SIDE), dtype=np.uint8
        )
        parts = layout.splits[split]
        for part, rows in zip(
            parts, np.array_split(np.arange(len(labels)), len(parts)), strict=True
        ):
            of_part = [labels[row] for row in rows]
            made[part] = _pickled({"data": pixels[rows], layout.labels: of_part})
    made[layout.meta] = _pickled({layout.names: names})
    return made


def _pickled(value: Any) -> bytes:
    """Pickle as Python 2 does with protocol 2: its strings are bytes."""

    def spelled(part: Any) -> bytes:
        if isinstance(part, str | bytes):
            data = part.encode() if isinstance(part, str) else part
            return b"T" + struct.pack("<i", len(data)) + data
        if isinstance(part, dict):
            return b"}(" + b"".join(spelled(k) + spelled(v) for k, v in part.items()) + b"u"
        if isinstance(part, list):
            return b"](" + b"".join(map(spelled, part)) + b"e"
        if isinstance(part, np.ndarray):
            kind = b"cnumpy\ndtype\n(" + spelled("u1") + spelled(0) + spelled(1) + b"tR("
            kind += (
                spelled(3) + spelled("|") + b"NNN" + spelled(-1) + spelled(-1) + spelled(0) + b"tb"
            )
            made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
            made += b"(" + spelled(0) + b"t" + spelled("b") + b"tR(" + spelled(1)
            made += b"(" + b"".join(map(spelled, part.shape)) + b"t"
            return made + kind + b"\x89" + spelled(part.tobytes()) + b"tb"
        return b"J" + struct.pack("<i", part)

    return b"\x80\x02" + spelled(value) + b"."
