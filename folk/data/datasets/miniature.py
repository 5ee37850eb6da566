"""Miniature archives with the official ones' structure and a handful of tiny images.

They replace the official archives in a smoke run. The same call writes the same bytes, so that
results made from them stay up to date.
"""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from folk.data.datasets.arrays import CIFAR
from folk.data.decode import encoded_png
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write, write_text
from folk.evidence.results.metrics.corruption import (
    ALEXNET_ERROR,
    ALEXNET_ERROR_EXTRA,
    C_BAR,
    SEVERITIES,
)

# So that a batch of two images gives two updates of all training images, of the few-label list,
# and of one image of each class: of the first class there are two training images, else one.
CLASSES = ("n01440764", "n01443537", "n02085620", "n03000684")
WNIDS = CLASSES[:3]
LABELS = ((0, 0, 1, 2, 3), (0, 1, 2, 3))  # of the training and the validation images
NUMBERS = {"train": 5, "val": 4}

# Contents of each archive of ImageNet-C.
_IMAGENET_C = {
    "noise": [name for name in ALEXNET_ERROR if name.endswith("_noise")],
    "blur": [name for name in ALEXNET_ERROR if name.endswith("_blur")],
    "weather": ["snow", "frost", "fog", "brightness"],
    "digital": ["contrast", "elastic_transform", "pixelate", "jpeg_compression"],
    "extra": list(ALEXNET_ERROR_EXTRA),
}
_MAT_TEXT = 116  # bytes of a MAT file's head that are free text; SciPy writes the time there
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can name

Files = Mapping[str, bytes]


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
    splits: int = 2
    images: dict[str, int] = field(default_factory=lambda: NUMBERS)
    subset: dict[str, int] = field(default_factory=dict)


def write_stand_in(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write the miniature of a kind.

    Args:
        kind: of a `prepare` recipe.
        files: the official file names by the kind's names for its archives.
        folder: folder of the miniature.

    Raises:
        InputError: no miniature of this kind, or of an archive of this name.
    """
    if kind == "folder":
        images = [("train", c, file) for c, of in training_images().items() for file in of.items()]
        val = zip(CLASSES, validation_images().items(), strict=True)
        for split, cls, (name, data) in [*images, *(("val", c, file) for c, file in val)]:
            _write(folder / split / cls / name, data)
        return StandIn(source=folder)
    if kind == "imagenet":
        kit = devkit_files(CLASSES, (1, 2, 3, 4))
        return StandIn(imagenet(folder, training_images(), validation_images(), kit))
    if kind == "fashion-mnist":
        return StandIn(idx_files(folder, files, *LABELS))
    if kind == "fashion-mnist-small":
        return StandIn(subset={"train_per_class": 1, "val_per_class": 1})
    if kind in ("imagenet-c", "c-bar"):
        return _corruptions(kind, files, folder)
    values: dict[str, Any] = {}
    if kind == "ade20k":
        made = ade20k_files()
        values = {"classes": 150, "images": {"train": 3, "val": 2}}
    elif kind in CIFAR:
        made = cifar_files(kind, *LABELS)
    elif kind == "stl-10":
        made = stl10_files()
        values = {"splits": 3, "images": NUMBERS | {"unlabeled": 2}}
    elif kind == "tiny-imagenet-200":
        made = tiny_imagenet_files()
    elif kind in ("imagenette", "imagewoof"):
        made = imagenette_files(f"{kind}2")
    elif kind.startswith("imagenet-"):  # A and R have some of the classes only, V2 numbers them
        classes = CLASSES[:2] if kind in ("imagenet-a", "imagenet-r") else CLASSES
        names = "0123" if kind == "imagenet-v2" else classes
        made = {f"{kind}/{name}/{i}.jpg": image(200 + i) for i, name in enumerate(names)}
        values = {"classes": len(classes), "splits": 1, "images": {"val": len(classes)}}
    else:
        raise InputError(f"no miniature of kind '{kind}'; a smoke run needs official archives")
    return StandIn({"images": write_archive(folder / files["images"], made)}, **values)


def _corruptions(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write one image per split; classes take turns, so that each occurs."""
    paths, done = {}, 0
    for name, file in files.items():
        images: dict[str, bytes] = {}
        for corruption in C_BAR if kind == "c-bar" else _IMAGENET_C.get(name, ()):
            for severity in SEVERITIES:
                images |= corrupted([corruption], [severity], [CLASSES[done % len(CLASSES)]])
                done += 1
        if not images or (kind == "c-bar" and len(files) > 1):
            raise InputError(f"no miniature of archive '{name}' of kind '{kind}'")
        paths[name] = write_archive(folder / file, images)
    return StandIn(paths, splits=done, images={"each": 1})


def few_label_list(path: Path) -> Path:
    """Write a list of four training images, as SimCLR's lists name them: a file name a line."""
    names = [name for files in training_images().values() for name in files]
    write_text(path, "".join(f"{name}\n" for name in names[-4:]))
    return path


def image(
    seed: int = 0,
    kind: str = "JPEG",
    mode: str = "RGB",
    size: tuple[int, int] = (24, 16),
    **options: Any,
) -> bytes:
    """Encode an image of noise; width and height in pixels, `options` for the encoder."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def write_archive(path: Path, files: Files) -> Path:
    """Write a zip, a gzipped tar or a tar atomically, as the suffix says."""
    if path.suffix == ".zip":
        return _write(path, zip_bytes(files))
    plain = tar_bytes(files)
    return _write(path, gzip.compress(plain, mtime=0) if path.suffix in (".gz", ".tgz") else plain)


def tar_bytes(files: Files) -> bytes:
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
    return buffer.getvalue()


def zip_bytes(files: Files) -> bytes:
    """Make a zip with its folders."""
    buffer = io.BytesIO()
    folders = sorted({f"{p}/" for n in files for p in Path(n).parents if str(p) != "."})
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**dict.fromkeys(folders, b""), **files}.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> Path:
    with atomic_write(path) as temp:
        temp.write_bytes(data)
    return path


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
    """Make training images by class and file name, at most three of each class."""
    return {
        wnid: {f"{wnid}_{n}.JPEG": image(10 * c + n) for n in (10, 2, 33)[:per_class]}
        for c, wnid in enumerate(wnids)
    }


def training_images() -> dict[str, dict[str, bytes]]:
    """Make the training images of a smoke run."""
    return imagenet_images(CLASSES[:1], 2) | imagenet_images(CLASSES[1:], 1)


def validation_images(number: int = 4) -> dict[str, bytes]:
    """Make the validation images by file name."""
    return {f"ILSVRC2012_val_{i + 1:08d}.JPEG": image(100 + i) for i in range(number)}


def imagenet(
    folder: Path,
    train: Mapping[str, Files] | None = None,
    val: Files | None = None,
    devkit: Files | None = None,
) -> dict[str, Path]:
    """Write the three archives; the classes of the outer tar are not in alphabetical order."""
    train = imagenet_images() if train is None else train
    tars = {f"{wnid}.tar": tar_bytes(files) for wnid, files in reversed(list(train.items()))}
    val = validation_images() if val is None else val
    files = {
        "img_train.tar": tars,
        "img_val.tar": dict(reversed(list(val.items()))),
        "devkit_t12.tar.gz": devkit or devkit_files(),
    }
    names = ("train", "val", "devkit")
    paths = [write_archive(folder / f"ILSVRC2012_{file}", of) for file, of in files.items()]
    return dict(zip(names, paths, strict=True))


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
            files[f"{top}/annotations/{split}/{name}.png"] = encoded_png(ids)
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
    """Write MNIST's four files, gzipped where the name says so; images are noise.

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
            paths[f"{word}-{part}"] = _write(path, packed)
    return paths


def cifar_files(kind: str, train: Sequence[int], test: Sequence[int]) -> dict[str, bytes]:
    """Make the files of an archive; images are noise.

    Args:
        kind: `cifar-10` or `cifar-100`.
        train: labels of the training images, at least one for each file.
        test: labels of the test images.
    """
    folder, files, meta, labels_key, names_key = CIFAR[kind]
    made: dict[str, Any] = {meta: {names_key: [f"class {n}" for n in range(max(train) + 1)]}}
    for seed, (split, labels) in enumerate((("train", train), ("val", test))):
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 255, (len(labels), 3072), dtype=np.uint8)
        rows = np.array_split(np.arange(len(labels)), len(files[split]))
        for file, own in zip(files[split], rows, strict=True):
            made[file] = {"data": pixels[own], labels_key: [labels[row] for row in own]}
    return {f"{folder}/{name}": pickle.dumps(values, 4) for name, values in made.items()}


def stl10_files() -> dict[str, bytes]:
    """Make the files of the archive, with two unlabeled images; images are noise."""
    rng = np.random.default_rng(0)
    made = {
        "class_names.txt": b"airplane\nbird\ncar\ncat\n",
        "fold_indices.txt": b"0 2 3 4 \n1 2 \n",
    }
    for word, labels in zip(("test", "train", "unlabeled"), (*LABELS[::-1], (0, 0)), strict=True):
        made[f"{word}_X.bin"] = rng.bytes(len(labels) * 3 * 96 * 96)
        if word != "unlabeled":
            made[f"{word}_y.bin"] = bytes(label + 1 for label in labels)
    return {f"stl10_binary/{name}": data for name, data in made.items()}


def tiny_imagenet_files() -> dict[str, bytes]:
    """Make the files of the archive; its list names the validation images in turned order."""
    train = [(CLASSES[0], 0), *((wnid, 1) for wnid in CLASSES)]
    val = [(f"val_{i}.JPEG", wnid) for i, wnid in enumerate(reversed(CLASSES))]
    lists = {
        "wnids.txt": [*reversed(CLASSES)],
        "words.txt": [f"{wnid}\tword {wnid}, other" for wnid in CLASSES],
        "val/val_annotations.txt": [f"{file}\t{wnid}\t0\t0\t9\t9" for file, wnid in val],
    }
    made = {name: "".join(f"{line}\n" for line in of).encode() for name, of in lists.items()}
    made["test/images/test_0.JPEG"] = image(300, size=(64, 64))
    for seed, (wnid, number) in enumerate(train):
        made[f"train/{wnid}/images/{wnid}_{number}.JPEG"] = image(seed, size=(64, 64))
        made[f"train/{wnid}/{wnid}_boxes.txt"] = b"about"
    for seed, (file, _) in enumerate(val):
        made[f"val/images/{file}"] = image(100 + seed, size=(64, 64))
    return {f"tiny-imagenet-200/{name}": data for name, data in made.items()}


def imagenette_files(top: str) -> dict[str, bytes]:
    """Make the files of the archive, the validation images first."""
    made = {f"val/{wnid}/{wnid}_3.JPEG": image(50 + i) for i, wnid in enumerate(CLASSES)}
    made |= {f"train/{wnid}/{wnid}_1.JPEG": image(i) for i, wnid in enumerate(CLASSES)}
    made |= {f"train/{CLASSES[0]}/{CLASSES[0]}_2.JPEG": image(9)}
    made["noisy_labels.csv"] = b"path\n"
    return {f"{top}/{name}": data for name, data in made.items()}
