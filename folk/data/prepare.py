"""Creation of a prepared data set: shards, manifest and description, all of it or nothing."""

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from PIL import Image

from folk.data.datasets import scenes
from folk.data.decode import check_image
from folk.data.repeated import log_shared_images, shared_images
from folk.data.shards import FORMAT
from folk.data.wnids import is_wnid
from folk.data.writer import MANIFEST_SCHEMA, ShardInfo, ShardWriter
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.files import TEMP_SUFFIX, atomic_write, write_json

MAX_ROWS_PER_SHARD = 65536
# Manifest rows per write.
_MANIFEST_ROWS = 65536

Item = TypeVar("Item")
Result = TypeVar("Result")


class SourceImage(NamedTuple):
    """One image on its way into a shard; `image` and `annotation` are encoded, with digests."""

    key: str
    label: int
    split: str
    image: bytes
    sha256: str
    annotation: bytes | None = None
    annotation_sha256: str | None = None

    @classmethod
    def digested(
        cls, key: str, label: int, split: str, image: bytes, annotation: bytes | None = None
    ) -> "SourceImage":
        """Compute the digests; call it in a thread, since hashing releases the GIL."""
        marks = None if annotation is None else _sha256(annotation)
        return cls(key, label, split, image, _sha256(image), annotation, marks)


def prepare_scenes(
    folder: Path,
    *,
    name: str = "scenes",
    confirm: Callable[[], None] = lambda: None,
    **values: Any,
) -> dict[str, int]:
    """Compose scenes and store them as a prepared data set.

    Args:
        folder: folder of the data set.
        name: name of the data set in tables.
        confirm: called when all is made, before it is published; raises if another start of the
            job has taken over.
        values: the keyword arguments of `folk.data.datasets.scenes.compose_scenes`.

    Returns:
        number of images by split.

    Raises:
        InputError: a value that `compose_scenes` rejects.
    """
    composed = scenes.compose_scenes(**values)
    first = next(composed)  # so that invalid values fail before anything is written
    images = (
        SourceImage.digested(
            s.key, s.label, s.split, encoded_png(s.image), encoded_png(s.annotation)
        )
        for s in _chained(first, composed)
    )
    with _all_or_nothing(folder, confirm) as temp:
        shards, counts = _write(temp, images)
        counts = {split: counts.get(split, 0) for split in scenes.SPLITS}
        sources = [
            {"name": source.name, "sha256": source.sha256, "bytes": source.num_bytes}
            for source in scenes.scene_sources()
        ]
        height, width = first.annotation.shape
        described = description(
            name, "scenes", scenes.CLASSES, scenes.SEGMENTATION_CLASSES, counts, sources, shards
        )
        write_json(temp / "dataset.json", described | {"image_size": [height, width]})
    return counts


def prepare_image_folder(
    source: Path,
    folder: Path,
    *,
    name: str | None = None,
    limit: int | None = None,
    threads: int | None = None,
    confirm: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Store a folder of images as a prepared data set; the images' bytes stay unchanged.

    Every bit of every image is decoded once, so that training never meets one that cannot be
    read. Memory use does not grow with the number of images, except for their names and digests.
    Images of `val` that are also in `train` are listed in the log and in `dataset.json`.

    Args:
        source: has `train/<class>/<image>` and `val/<class>/<image>`; names that start with a
            dot are skipped. Classes are the sub-folders of `train`, in alphabetical order.
        folder: folder of the data set.
        name: name of the data set in tables; None takes the name of `source`.
        limit: at most so many images of each split, the same number of each class where it has
            them, first names first; absent takes all.
        threads: reading and decoding threads; None takes one per core.
        confirm: called when all is made, before it is published; raises if another start of the
            job has taken over.

    Returns:
        number of images by split.

    Raises:
        InputError: a missing or empty folder, a file that is not an image, a class of `val` that
            `train` lacks, a limit too small for one image of each class.
    """
    files = {split: _files_by_class(source / split) for split in ("train", "val")}
    classes = list(files["train"])
    label_of = {cls: label for label, cls in enumerate(classes)}
    for cls in files["val"]:
        if cls not in files["train"]:
            hint = nearest(cls, classes)
            raise InputError(f"{source / 'val' / cls}: unknown class '{cls}', not in train{hint}")
    chosen = {split: _limited(source / split, by, limit) for split, by in files.items()}
    digest, num_bytes = hashlib.sha256(), 0

    def images() -> Iterator[SourceImage]:
        nonlocal num_bytes
        for split, names in chosen.items():
            keys = sorted(f"{split}/{cls}/{file}" for cls, of in names.items() for file in of)
            images = in_threads(_checked_bytes, (source / key for key in keys), threads)
            for key, (image, sha256) in zip(keys, images, strict=True):
                digest.update(f"{key}\0{sha256}\n".encode())
                num_bytes += len(image)
                yield SourceImage(key, label_of[key.split("/")[1]], split, image, sha256)

    name = name or source.resolve().name
    with _all_or_nothing(folder, confirm) as temp:
        shards, counts = _write(temp, images())
        sources = [{"name": name, "sha256": digest.hexdigest(), "bytes": num_bytes}]
        wnids = classes if all(map(is_wnid, classes)) else None
        shared = shared_images(temp / "manifest.parquet")
        log_shared_images(shared, counts)
        described = description(
            name, "folder", classes, None, counts, sources, shards, wnids, shared
        )
        write_json(temp / "dataset.json", described)
    return counts


def _write(
    temp: Path, images: Iterable[SourceImage]
) -> tuple[dict[str, ShardInfo], dict[str, int]]:
    """Write shards and manifest, split after split; returns the shards and the counts."""
    shards: dict[str, ShardInfo] = {}
    counts: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    with (
        atomic_write(temp / "manifest.parquet") as path,
        pq.ParquetWriter(path, MANIFEST_SCHEMA) as manifest,
        contextlib.ExitStack() as current,
    ):
        writer: ShardWriter | None = None
        for image in images:
            if image.split not in counts:  # the next split begins
                current.close()
                if writer is not None:
                    shards |= writer.shards
                writer = current.enter_context(
                    ShardWriter(temp / "shards", image.split, max_rows_per_shard=MAX_ROWS_PER_SHARD)
                )
                counts[image.split] = 0
            assert writer is not None
            shard, row = writer.add(image.key, image.label, image.image, image.annotation)
            counts[image.split] += 1
            rows.append(manifest_row(image, shard, row))
            if len(rows) == _MANIFEST_ROWS:
                manifest.write_table(manifest_table(rows))
                rows.clear()
        current.close()
        assert writer is not None  # both callers reject empty splits
        shards |= writer.shards
        if rows:
            manifest.write_table(manifest_table(rows))
    return shards, counts


def manifest_row(image: SourceImage, shard: str, row: int) -> tuple[Any, ...]:
    """Manifest row of an image in `row` of `shard`."""
    digests = (image.sha256, image.annotation_sha256)
    return (image.key, image.label, image.split, len(image.image), *digests, shard, row)


def manifest_table(rows: Sequence[tuple[Any, ...]]) -> Any:
    """Rows of the manifest as an Arrow table."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, MANIFEST_SCHEMA, strict=True)]
    return pa.table(arrays, schema=MANIFEST_SCHEMA)


def description(
    name: str,
    kind: str,
    classes: Sequence[str],
    segmentation_classes: Sequence[str] | None,
    counts: dict[str, int],
    sources: list[dict[str, Any]],
    shards: dict[str, ShardInfo],
    wnids: Sequence[str] | None = None,
    shared: dict[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Content of `dataset.json`.

    `wnids` is present only if the classes have them, and `also_learned_from`, see
    `shared_images`, only if there are such images.
    """
    known: dict[str, Any] = {} if wnids is None else {"wnids": [*wnids]}
    if shared:
        known["also_learned_from"] = shared
    return {
        "format": FORMAT,
        "name": name,
        "kind": kind,
        "classes": list(classes),
        "segmentation_classes": None if segmentation_classes is None else [*segmentation_classes],
        "counts": counts,
        "image_size": None,
        "sources": sources,
        "shards": {shard: asdict(info) for shard, info in shards.items()},
    } | known


@contextlib.contextmanager
def _all_or_nothing(folder: Path, confirm: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Yield a temporary folder whose content moves to `folder` on success.

    Other files in `folder`, such as the log of this job, stay. The description moves last: without
    it a data set cannot be opened, so that no reader sees one that is half new and half old.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: a job whose driver was killed may still be at the same work.
    name = tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=TEMP_SUFFIX, dir=folder.parent)
    try:
        yield Path(name)
        confirm()
        move_data_set(Path(name), folder)
    finally:
        shutil.rmtree(name, ignore_errors=True)


def move_data_set(temp: Path, folder: Path) -> None:
    """Move a finished data set from `temp` to `folder`, in place of an older one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "shards", ignore_errors=True)
    for made in ("shards", "manifest.parquet", "dataset.json"):
        (temp / made).replace(folder / made)


def _files_by_class(split: Path) -> dict[str, list[str]]:
    """List the images of each class, both sorted."""
    if not split.is_dir():
        raise InputError(
            f"{split}: no such folder; a folder of images has train/<class>/ and val/<class>/"
        )
    classes = sorted(p.name for p in split.iterdir() if p.is_dir() and p.name[0] != ".")
    if not classes:
        raise InputError(f"{split}: no classes; make one sub-folder for each class")
    files = {
        cls: sorted(p.name for p in (split / cls).iterdir() if p.name[0] != ".") for cls in classes
    }
    for cls, names in files.items():
        if not names:
            raise InputError(f"{split / cls}: no images; add some or remove the class")
    return files


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


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None
) -> Iterator[Result]:
    """Map a function over items in threads (Pillow releases the GIL) and yield results in order.

    Args:
        function: applied to each item.
        items: consumed in this thread, only a few ahead of the results.
        threads: number of threads; None takes one per core.
    """
    num_threads = threads or _num_cores()
    with ThreadPoolExecutor(num_threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if (
                    len(waiting) == 4 * num_threads
                ):  # bounds memory, whatever the size of the data set
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _num_cores() -> int:
    # A scheduler may give a job fewer cores than the machine has; not every system can tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _checked_bytes(path: Path) -> tuple[bytes, str]:
    if not path.is_file():
        raise InputError(f"{path}: expected an image file; a class folder holds images only")
    data = path.read_bytes()
    check_image(data, where=lambda: str(path))
    return data, _sha256(data)


def _chained(first: scenes.Scene, rest: Iterator[scenes.Scene]) -> Iterator[scenes.Scene]:
    yield first
    yield from rest


def encoded_png(pixels: UInt8[np.ndarray, "..."]) -> bytes:
    """Encode pixels, or class ids, as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, "PNG", compress_level=1
    )  # as small as 6 here, half the time
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
