"""Miniature archives with the official ones' structure and a handful of tiny images.

The same call writes the same bytes, so that results made from them stay up to date.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from folk.evidence.core.files import atomic_write
from folk.evidence.results.metrics.corruption import SEVERITIES

WNIDS = ("n01440764", "n01443537", "n02085620")

# Of a smoke run: so that a batch of two images gives two updates of all training images, of the
# few-label list, and of one image of each class.
CLASSES = ("n01440764", "n01443537", "n02085620", "n03000684")
TRAIN = 5  # images: two of the first class, one of the others
VAL = 4  # one of each class
NUMBERS = {"train": TRAIN, "val": VAL}
LABELS = ((0, 0, 1, 2, 3), (0, 1, 2, 3))  # of as many training and validation images

TarMode = Literal["w", "w:gz"]

_MAT_TEXT = 116  # bytes of a MAT file's head that are free text; SciPy writes the time there
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can name


@dataclass(frozen=True)
class StandIn:
    """A miniature and its contents.

    Attributes:
        archives: paths by the kind's names for them; empty for a folder of images.
        source: the folder of images, for kind `folder`.
        classes: number of classes.
        splits: number of splits.
        images: by split, `each` for all of them.
        subset: images of each class, of a kind whose archives are embedded.
    """

    archives: dict[str, Path] = field(default_factory=dict)
    source: Path | None = None
    classes: int = len(CLASSES)
    splits: int = 1
    images: dict[str, int] = field(default_factory=dict)
    subset: dict[str, int] = field(default_factory=dict)


def image(
    seed: int = 0,
    kind: str = "JPEG",
    mode: str = "RGB",
    size: tuple[int, int] = (24, 16),
    **options: Any,
) -> bytes:
    """Encode an image of noise; width and height in pixels, `options` for the encoder."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def tar_bytes(files: Mapping[str, bytes], mode: TarMode = "w") -> bytes:
    """Make a tar with its folders, as `tar c folder` does."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        known = set()
        for name, data in files.items():
            for folder in reversed([str(p) for p in Path(name).parents][:-1]):
                if folder not in known:
                    known.add(folder)
                    info = tarfile.TarInfo(folder)
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    plain = buffer.getvalue()
    return plain if mode == "w" else gzip.compress(plain, mtime=0)


def write_tar(path: Path, files: Mapping[str, bytes], mode: TarMode = "w") -> Path:
    """Write such a tar atomically."""
    return write_whole(path, tar_bytes(files, mode))


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a zip with its folders atomically."""
    buffer = io.BytesIO()
    folders = sorted({f"{p}/" for n in files for p in Path(n).parents if str(p) != "."})
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**dict.fromkeys(folders, b""), **files}.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data)
    return write_whole(path, buffer.getvalue())


def devkit_files(
    wnids: Sequence[str] = WNIDS, truth: Sequence[int] = (2, 3, 1, 1)
) -> dict[str, bytes]:
    """Make the tables of the development kit; ids count from 1, the last synset is an inner node.

    Args:
        wnids: of the classes, in the order of their ids.
        truth: id of the class of each validation image.
    """
    rows: list[tuple[Any, ...]] = [
        (i + 1, wnid, f"word {i}, other word", "gloss", 0) for i, wnid in enumerate(wnids)
    ]
    rows.append((len(wnids) + 1, "n00001740", "entity", "gloss", len(wnids)))
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children"]
    synsets = np.empty((len(rows), 1), dtype=[(field, object) for field in fields])
    for i, row in enumerate(rows):
        synsets[i, 0] = row
    meta = io.BytesIO()
    import scipy.io  # only this archive needs it

    scipy.io.savemat(meta, {"synsets": synsets})
    timeless = b"MATLAB 5.0 MAT-file".ljust(_MAT_TEXT) + meta.getvalue()[_MAT_TEXT:]
    top = "ILSVRC2012_devkit_t12"
    return {
        f"{top}/readme.txt": b"about",
        f"{top}/data/meta.mat": timeless,
        f"{top}/data/ILSVRC2012_validation_ground_truth.txt": "".join(
            f"{number}\n" for number in truth
        ).encode(),
    }


def imagenet_images(
    wnids: Sequence[str] = WNIDS, per_class: int = 3
) -> dict[str, dict[str, bytes]]:
    """Make the training images by class and file name, at most three of each class."""
    return {
        wnid: {f"{wnid}_{n}.JPEG": image(10 * c + n) for n in (10, 2, 33)[:per_class]}
        for c, wnid in enumerate(wnids)
    }


def validation_images(number: int = 4) -> dict[str, bytes]:
    """Make the validation images by file name."""
    return {f"ILSVRC2012_val_{i + 1:08d}.JPEG": image(100 + i) for i in range(number)}


def imagenet(
    folder: Path,
    train: Mapping[str, Mapping[str, bytes]] | None = None,
    val: Mapping[str, bytes] | None = None,
    devkit: Mapping[str, bytes] | None = None,
) -> dict[str, Path]:
    """Write the three archives; the classes of the outer tar are not in alphabetical order."""
    train = imagenet_images() if train is None else train
    tars = {f"{wnid}.tar": tar_bytes(files) for wnid, files in reversed(list(train.items()))}
    val = validation_images() if val is None else val
    return {
        "train": write_tar(folder / "ILSVRC2012_img_train.tar", tars),
        "val": write_tar(folder / "ILSVRC2012_img_val.tar", dict(reversed(list(val.items())))),
        "devkit": write_tar(
            folder / "ILSVRC2012_devkit_t12.tar.gz", devkit or devkit_files(), "w:gz"
        ),
    }


def ade20k_files(classes: int = 150) -> dict[str, bytes]:
    """Make three training and two validation images with annotations, and the table of classes."""
    top = "ADEChallengeData2016"
    lines = ["Idx\tRatio\tTrain\tVal\tStuff\tName"]
    lines += [f"{i + 1}\t0.1\t1\t1\t0\tclass {i}, another word" for i in range(classes)]
    files = {
        f"{top}/objectInfo150.txt": "\n".join(lines).encode(),
        f"{top}/sceneCategories.txt": b"",
    }
    for split, short, number in (("training", "train", 3), ("validation", "val", 2)):
        for i in range(number):
            name = f"ADE_{short}_{i + 1:08d}"
            ids = np.full((16, 24), i, dtype=np.uint8)
            ids[0, :3] = (0, 1, classes)
            buffer = io.BytesIO()
            Image.fromarray(ids).save(buffer, "PNG")
            files[f"{top}/annotations/{split}/{name}.png"] = buffer.getvalue()
            files[f"{top}/images/{split}/{name}.jpg"] = image(i)
    return files


def corrupted(
    corruptions: Sequence[str],
    severities: Sequence[int | str] = SEVERITIES,
    wnids: Sequence[str] = WNIDS,
) -> dict[str, bytes]:
    """Make an image of each class for every corruption and severity."""
    return {
        f"{corruption}/{severity}/{wnid}/ILSVRC2012_val_{i:08d}.JPEG": image(i)
        for corruption in corruptions
        for severity in severities
        for i, wnid in enumerate(reversed(wnids))
    }


def idx(array: UInt8[np.ndarray, "..."]) -> bytes:
    """Make an IDX file of bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def idx_files(
    folder: Path, files: Mapping[str, str], train: Sequence[int], test: Sequence[int]
) -> dict[str, Path]:
    """Write MNIST's four files, gzipped where the name says so.

    Args:
        folder: of the files.
        files: names of `train-images`, `train-labels`, `test-images` and `test-labels`.
        train: labels of the training images.
        test: labels of the test images.
    """
    paths = {}
    for seed, (word, labels) in enumerate((("train", train), ("test", test))):
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 255, (len(labels), 28, 28), dtype=np.uint8)
        for part, array in (("images", pixels), ("labels", np.array(labels, np.uint8))):
            path, data = folder / files[f"{word}-{part}"], idx(array)
            packed = gzip.compress(data, mtime=0) if path.suffix == ".gz" else data
            paths[f"{word}-{part}"] = write_whole(path, packed)
    return paths


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file atomically and return its path."""
    with atomic_write(path) as temp:
        temp.write_bytes(data)
    return path
