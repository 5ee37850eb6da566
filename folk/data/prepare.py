"""Scenes, and a folder of images, as prepared data sets."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from folk.data.datasets import scenes
from folk.data.decode import check_image
from folk.data.store import Make, Source, SourceImage, encoded_png, store_images
from folk.data.wnids import is_wnid
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError, nearest

# Control characters and separators of lines; letters without a print of their own are allowed:
# names from macOS have a narrow space, names in Japanese a wide one.
_OF_LINES = {"Cc", "Zl", "Zp"}
SPLITS = ("train", "val")


def prepare_scenes(
    folder: Path,
    *,
    name: str = "scenes",
    identity: str = "",
    confirm: Callable[[], None] = lambda: None,
    **values: Any,
) -> dict[str, int]:
    """Compose scenes and store them as a prepared data set.

    Args:
        folder: folder of the data set.
        name: name of the data set in tables.
        identity: as of `store_images`; the values are added to it.
        confirm: as of `store_images`.
        values: the keyword arguments of `folk.data.datasets.scenes.compose_scenes`.

    Returns:
        number of images by split.

    Raises:
        InputError: a value that `compose_scenes` rejects.
    """
    # So that invalid values fail before anything is written.
    height, width = next(scenes.compose_scenes(**values)).annotation.shape

    def images(start: int) -> Iterator[Make]:
        for scene in islice(scenes.compose_scenes(**values), start, None):
            yield partial(_encoded, scene)

    source = Source(
        "scenes",
        scenes.CLASSES,
        images,
        lambda _manifest: [
            {"name": source.name, "sha256": source.sha256, "bytes": source.num_bytes}
            for source in scenes.scene_sources()
        ],
        splits=scenes.SPLITS,
        segmentation_classes=scenes.SEGMENTATION_CLASSES,
        image_size=(height, width),
    )
    identity = sha256_of_json([identity, name, values])
    return store_images(source, folder, name=name, identity=identity, confirm=confirm)


def _encoded(scene: scenes.Scene) -> SourceImage:
    marks = encoded_png(scene.annotation)
    return SourceImage.digested(
        scene.key, scene.label, scene.split, encoded_png(scene.image), marks
    )


def prepare_image_folder(
    source: Path,
    folder: Path,
    *,
    name: str | None = None,
    limit: int | None = None,
    threads: int | None = None,
    identity: str = "",
    confirm: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Store a folder of images as a prepared data set; the images' bytes stay unchanged.

    Every bit of every image is decoded once, so that training never meets one that cannot be
    read.

    Args:
        source: has `train/<class>/<image>` and `val/<class>/<image>`; names that start with a
            dot are skipped. Classes are the sub-folders of `train`, in alphabetical order. Names
            become keys of images, so they must be text of one line.
        folder: folder of the data set.
        name: name of the data set in tables; None takes the name of `source`.
        limit: at most so many images of each split, the same number of each class where it has
            them, first names first; absent takes all.
        threads: reading and decoding threads; None takes one per core.
        identity: as of `store_images`; names, sizes and mtimes of the images are added to it.
        confirm: as of `store_images`.

    Returns:
        number of images by split.

    Raises:
        InputError: a missing or empty folder, a file that is not an image, a name that is no UTF-8
            or has control characters, a class of `val` that `train` lacks, a limit too small for
            one image of each class.
    """
    files = {split: _files_by_class(source / split) for split in SPLITS}
    classes = list(files["train"])
    label_of = {cls: label for label, cls in enumerate(classes)}
    for cls in files["val"]:
        if cls not in files["train"]:
            hint = nearest(cls, classes)
            raise InputError(f"{source / 'val' / cls}: unknown class '{cls}', not in train{hint}")
    keys = image_keys(source, limit)
    name = name or source.resolve().name

    def images(start: int) -> Iterator[Make]:
        for key in keys[start:]:
            split, cls, _ = key.split("/")
            yield partial(_checked, source / key, key, label_of[cls], split)

    def sources(manifest: Path) -> list[dict[str, Any]]:
        table = pq.ParquetFile(manifest).read(["key", "sha256", "bytes"]).to_pydict()
        digest = hashlib.sha256()
        for key, sha256 in zip(table["key"], table["sha256"], strict=True):
            digest.update(f"{key}\0{sha256}\n".encode())
        return [{"name": name, "sha256": digest.hexdigest(), "bytes": sum(table["bytes"])}]

    wnids = classes if all(map(is_wnid, classes)) else None
    return store_images(
        Source("folder", classes, images, sources, wnids=wnids),
        folder,
        name=name,
        identity=_with_files(identity, name, source, keys),
        threads=threads,
        confirm=confirm,
    )


def _with_files(identity: str, name: str, source: Path, keys: list[str]) -> str:
    digest = hashlib.sha256(f"{identity}\0{name}\n".encode())
    for key in keys:
        path = source / key
        if not path.is_file():
            raise InputError(f"{path}: expected an image file; a class folder holds images only")
        status = path.stat()
        digest.update(f"{key}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files_by_class(split: Path) -> dict[str, list[str]]:
    """List the images of each class, both sorted."""
    if not split.is_dir():
        raise InputError(
            f"{split}: no such folder; a folder of images has train/<class>/ and val/<class>/"
        )
    classes = _names(path for path in split.iterdir() if path.is_dir())
    if not classes:
        raise InputError(f"{split}: no classes; make one sub-folder for each class")
    files = {cls: _names((split / cls).iterdir()) for cls in classes}
    for cls, names in files.items():
        if not names:
            raise InputError(f"{split / cls}: no images; add some or remove the class")
    return files


def _names(paths: Iterable[Path]) -> list[str]:
    """Sort the names of paths, those that start with a dot left out."""
    names = []
    for path in paths:
        if path.name[0] == ".":
            continue
        where = repr(str(path))[1:-1]  # a name may hold the end of a line
        kinds = {unicodedata.category(letter) for letter in path.name}
        if "Cs" in kinds:  # Python's stand-ins for bytes that are no UTF-8
            raise InputError(f"{where}: its name is no UTF-8; rename it")
        if kinds & _OF_LINES:
            raise InputError(f"{where}: its name has control characters; rename it")
        names.append(path.name)
    return sorted(names)


def _limited(split: Path, files: dict[str, list[str]], limit: int | None) -> dict[str, list[str]]:
    """Choose `limit` images, taking turns among the classes."""
    if limit is None:
        return files
    if limit < len(files):
        raise InputError(
            f"{split}: limit {limit} leaves classes without an image; give at least {len(files)}"
        )
    taken = dict.fromkeys(files, 0)
    left = limit
    while left:
        open_classes = [cls for cls, names in files.items() if taken[cls] < len(names)]
        if not open_classes:
            break
        for cls in open_classes[:left]:
            taken[cls] += 1
        left -= min(left, len(open_classes))
    return {cls: names[: taken[cls]] for cls, names in files.items()}


def _checked(path: Path, key: str, label: int, split: str) -> SourceImage:
    data = path.read_bytes()
    check_image(data, where=lambda: str(path))
    return SourceImage.digested(key, label, split, data)


def image_keys(source: Path, limit: int | None) -> list[str]:
    """List `<split>/<class>/<image>` of the images that a folder gives, sorted in each split.

    Raises:
        InputError: as `prepare_image_folder`, of a folder, a class or the limit.
    """
    keys: list[str] = []
    for split in SPLITS:
        chosen = _limited(source / split, _files_by_class(source / split), limit)
        keys += sorted(f"{split}/{cls}/{file}" for cls, of in chosen.items() for file in of)
    return keys
