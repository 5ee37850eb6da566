"""Scenes, and a folder of images, as prepared data sets."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from folk.data.datasets import scenes
from folk.data.datasets.source import Entry, RawImage, Source
from folk.data.store import store_images
from folk.data.wnids import is_wnid
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError, nearest

# Control characters and separators of lines; letters without a print of their own are allowed:
# names from macOS have a narrow space, names in Japanese a wide one.
_OF_LINES = {"Cc", "Zl", "Zp"}


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

    def images() -> Iterator[Entry]:
        for scene in scenes.compose_scenes(**values):
            image, marks = (
                RawImage(scene.key, partial(np.asarray, pixels))
                for pixels in (scene.image, scene.annotation)
            )
            yield Entry(scene.key, scene.label, scene.split, image, marks)

    # So that invalid values fail before anything is written.
    height, width = next(scenes.compose_scenes(**values)).annotation.shape
    source = Source(
        "scenes",
        scenes.CLASSES,
        images,
        segmentation_classes=scenes.SEGMENTATION_CLASSES,
        image_size=(height, width),
        splits=scenes.SPLITS,
    )
    return store_images(
        source,
        folder,
        name=name,
        identity=sha256_of_json([identity, name, values]),
        sources=scenes.scene_sources(),
        confirm=confirm,
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

    Args:
        source: has `train/<class>/<image>` and `val/<class>/<image>`; names that start with a
            dot are skipped. Classes are the sub-folders of `train`, in alphabetical order. Names
            become keys of images, so they must be text of one line.
        folder: folder of the data set.
        name: name of the data set in tables; None takes the name of `source`.
        limit: at most so many images of each split, the same number of each class where it has
            them, first names first; absent takes all.
        threads: as of `store_images`.
        identity: as of `store_images`; names, sizes and mtimes of the images are added to it.
        confirm: as of `store_images`.

    Returns:
        number of images by split.

    Raises:
        InputError: a missing or empty folder, a file that is not an image, a name that is no UTF-8
            or has control characters, a class of `val` that `train` lacks, a limit too small for
            one image of each class.
    """
    keys = image_keys(source, limit)
    classes = sorted({key.split("/")[1] for key in keys if key.startswith("train/")})
    label_of = {cls: label for label, cls in enumerate(classes)}
    name = name or source.resolve().name
    state = hashlib.sha256(f"{identity}\0{name}\n".encode())
    for key in keys:
        path, cls = source / key, key.split("/")[1]
        if cls not in label_of:
            hint = nearest(cls, classes)
            raise InputError(f"{path.parent}: unknown class '{cls}', not in train{hint}")
        if not path.is_file():
            raise InputError(f"{path}: expected an image file; a class folder holds images only")
        status = path.stat()
        state.update(f"{key}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())

    def images() -> Iterator[Entry]:
        for key in keys:
            split, cls, _ = key.split("/")
            yield Entry(key, label_of[cls], split, source / key)

    wnids = classes if all(map(is_wnid, classes)) else None
    return store_images(
        Source("folder", classes, images, wnids=wnids),
        folder,
        name=name,
        identity=state.hexdigest(),
        threads=threads,
        confirm=confirm,
    )


def image_keys(source: Path, limit: int | None) -> list[str]:
    """List `<split>/<class>/<image>` of the images that a folder gives, sorted in each split.

    Raises:
        InputError: as `prepare_image_folder`, of a folder, a class or the limit.
    """
    keys: list[str] = []
    for split in (source / "train", source / "val"):
        if not split.is_dir():
            raise InputError(
                f"{split}: no such folder; a folder of images has train/<class>/ and val/<class>/"
            )
        classes = _names(path for path in split.iterdir() if path.is_dir())
        if not classes:
            raise InputError(f"{split}: no classes; make one sub-folder for each class")
        if limit is not None and limit < len(classes):
            raise InputError(
                f"{split}: limit {limit} leaves classes without an image; give at least "
                f"{len(classes)}"
            )
        turns = []
        for cls in classes:
            names = _names((split / cls).iterdir())
            if not names:
                raise InputError(f"{split / cls}: no images; add some or remove the class")
            turns += [(place, f"{split.name}/{cls}/{name}") for place, name in enumerate(names)]
        turns.sort(key=itemgetter(0))  # a limit takes turns among the classes
        keys += sorted(key for _, key in turns[:limit])
    return keys


def _names(paths: Iterable[Path]) -> list[str]:
    """Sort the names of paths, those that start with a dot left out."""
    names = [path for path in paths if path.name[0] != "."]
    for path in names:
        where = repr(str(path))[1:-1]  # a name may hold the end of a line
        kinds = {unicodedata.category(letter) for letter in path.name}
        if "Cs" in kinds:  # Python's stand-ins for bytes that are no UTF-8
            raise InputError(f"{where}: its name is no UTF-8; rename it")
        if kinds & _OF_LINES:
            raise InputError(f"{where}: its name has control characters; rename it")
    return sorted(path.name for path in names)
