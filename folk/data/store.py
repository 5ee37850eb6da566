"""Resumable creation of a prepared data set: shards, manifest and description.

Unfinished work is kept in `<folder>/partial`: whole shards, and a piece of the manifest for each.
A restarted job begins after the images of finished shards.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from PIL import Image

from folk.data.repeated import check_unique_keys, log_shared_images, shared_images
from folk.data.shards import FORMAT, PreparedData
from folk.data.writer import MANIFEST_SCHEMA, ShardInfo, ShardWriter, shard_writer
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import COMPACT, atomic_write, write_json, write_text

MAX_ROWS_PER_SHARD = 65536
MANIFEST_ROWS = 65536  # of a row group


class SourceImage(NamedTuple):
    """One image on its way into a shard; `image` and `annotation` are encoded."""

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


# Work for a thread that makes one image.
Make = Callable[[], SourceImage]


@dataclass(frozen=True)
class Source:
    """Images to store, and what `dataset.json` says of them.

    Attributes:
        kind: "scenes", "folder", or a kind of archive.
        classes: names, in the order of the labels.
        images: yields the images after the first so many, always in the same order, split after
            split.
        sources: name, sha256 and bytes of what the images come from, given the manifest.
        splits: names that `counts` lists even without an image.
        segmentation_classes: names of the ids in annotations, None without annotations.
        image_size: (height, width) in pixels, if all images share it.
        wnids: WordNet ids of the classes, where known.
    """

    kind: str
    classes: Sequence[str]
    images: Callable[[int], Iterator[Make]]
    sources: Callable[[Path], Sequence[Mapping[str, Any]]]
    splits: Sequence[str] = ()
    segmentation_classes: Sequence[str] | None = None
    image_size: tuple[int, int] | None = None
    wnids: Sequence[str] | None = None


def store_images(
    source: Source,
    folder: Path,
    *,
    name: str,
    identity: str,
    threads: int | None = None,
    check: Callable[[Mapping[str, int]], None] = lambda _counts: None,
    confirm: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Store images as a prepared data set.

    Memory does not grow with the number of images, except for the names of one split and the
    digests of the training images. Images that are in a training and in an evaluation split are
    listed in the log and in `dataset.json`.

    Args:
        source: the images to store.
        folder: folder of the data set; unfinished work is in its `partial`.
        name: name of the data set in tables.
        identity: digest of all that decides the result; unfinished work with another one is
            deleted.
        threads: number of threads that make images; None takes one per core.
        check: raises if the numbers of images by split are not as expected.
        confirm: called when all is made, before it is published; raises if another start of the
            job has taken over.

    Returns:
        number of images by split.

    Raises:
        InputError: as the source's images and `check`, or a duplicate key.
    """
    finished = folder / "finished"  # a job may still be killed while its record is written
    if finished.is_file() and finished.read_text(encoding="utf-8") == identity:
        with contextlib.suppress(InputError):  # it has been published since
            return PreparedData.open(folder).counts
    temp = folder / "partial"
    try:
        counts = _make(source, temp, name, identity, threads, check)
    except FileNotFoundError:
        confirm()  # another start may have published what both have made
        raise
    confirm()
    _move(temp, folder)
    write_text(finished, identity)
    shutil.rmtree(temp)
    return counts


def _make(
    source: Source,
    temp: Path,
    name: str,
    identity: str,
    threads: int | None,
    check: Callable[[Mapping[str, int]], None],
) -> dict[str, int]:
    journal = _Journal(temp, identity)
    images = _in_threads(source.images(journal.counts.total()), threads)
    for split, run in _shards_of(images):
        number = sum(shard.rpartition("-")[0] == split for shard in journal.shards)
        with shard_writer(temp / "shards", split, number) as writer:
            rows = [_stored(writer, image) for image in run]
        assert writer.info is not None
        journal.add(rows, writer.name, writer.info)
    counts = dict.fromkeys(source.splits, 0) | journal.counts
    check(counts)
    manifest = temp / "manifest.parquet"
    journal.write_manifest(manifest)
    check_unique_keys(manifest)
    shared = shared_images(manifest)
    log_shared_images(shared, counts)
    segmentation, wnids = source.segmentation_classes, source.wnids
    description = {
        "format": FORMAT,
        "name": name,
        "kind": source.kind,
        "classes": [*source.classes],
        "segmentation_classes": None if segmentation is None else [*segmentation],
        "counts": counts,
        "image_size": source.image_size,
        "sources": [dict(entry) for entry in source.sources(manifest)],
        "shards": {shard: asdict(info) for shard, info in journal.shards.items()},
        **({} if wnids is None else {"wnids": [*wnids]}),
        **({"also_learned_from": shared} if shared else {}),
    }
    write_json(temp / "dataset.json", description)
    return counts


def _stored(writer: ShardWriter, image: SourceImage) -> tuple[Any, ...]:
    """Add an image to a shard; returns its row of the manifest."""
    row = writer.add(image.key, image.label, image.image, image.annotation)
    digests = (image.sha256, image.annotation_sha256)
    return (image.key, image.label, image.split, len(image.image), *digests, writer.name, row)


def _shards_of(images: Iterable[SourceImage]) -> Iterator[tuple[str, Iterator[SourceImage]]]:
    """Group consecutive images into shards: one split each, and not too long."""
    for split, run in groupby(images, key=attrgetter("split")):
        left = iter(run)
        while (first := next(left, None)) is not None:
            yield split, chain([first], islice(left, MAX_ROWS_PER_SHARD - 1))


class _Journal:
    """List of finished shards: a numbered piece of the manifest for each, written after it."""

    def __init__(self, temp: Path, identity: str) -> None:
        self._temp = temp
        self.shards: dict[str, ShardInfo] = {}
        self.counts: Counter[str] = Counter()
        marker = temp / "identity"
        if not marker.is_file() or marker.read_text(encoding="utf-8") != identity:
            shutil.rmtree(temp, ignore_errors=True)
            (temp / "shards").mkdir(parents=True)
            write_text(marker, identity)
        while self._take_up():
            pass
        for left in (temp / "shards").iterdir():  # by a kill
            if left.name not in self.shards:
                left.unlink()

    def add(self, rows: Sequence[tuple[Any, ...]], shard: str, info: ShardInfo) -> None:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, MANIFEST_SCHEMA, strict=True)]
        metadata = json.dumps({"shard": shard, **asdict(info)})
        table = pa.table(arrays, schema=MANIFEST_SCHEMA.with_metadata({"shard": metadata}))
        with atomic_write(self._piece(len(self.shards))) as unfinished:
            pq.write_table(table, unfinished)
        assert self._take_up()

    def write_manifest(self, path: Path) -> None:
        with (
            atomic_write(path) as temp,
            pq.ParquetWriter(temp, MANIFEST_SCHEMA, **COMPACT) as manifest,
        ):
            waiting: list[Any] = []
            for number in range(len(self.shards)):
                piece = pq.ParquetFile(self._piece(number)).read()
                waiting.append(piece.replace_schema_metadata(None))
                is_last = number == len(self.shards) - 1
                if is_last or sum(map(len, waiting)) >= MANIFEST_ROWS:
                    rows = pa.concat_tables(waiting).combine_chunks()
                    manifest.write_table(rows, row_group_size=MANIFEST_ROWS)
                    waiting = []

    def _piece(self, number: int) -> Path:
        return self._temp / "pieces" / f"{number:05d}.parquet"

    def _take_up(self) -> bool:
        """Continue after the next piece, if it and its shard are whole."""
        piece = self._piece(len(self.shards))
        if not piece.is_file():
            return False
        metadata = json.loads(pq.read_schema(piece).metadata[b"shard"])
        shard, info = metadata.pop("shard"), ShardInfo(**metadata)
        shard_path = self._temp / "shards" / shard
        if not shard_path.is_file() or shard_path.stat().st_size != info.bytes:
            return False
        self.shards[shard] = info
        self.counts[shard.rpartition("-")[0]] += info.rows
        return True


def _move(temp: Path, folder: Path) -> None:
    """Move a finished data set, in place of an older one.

    The description moves last: without it a data set cannot be opened, so that no reader sees one
    that is half new and half old.
    """
    (folder / "dataset.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "shards", ignore_errors=True)
    for made in ("shards", "manifest.parquet", "dataset.json"):
        (temp / made).replace(folder / made)


def _in_threads(items: Iterable[Make], threads: int | None) -> Iterator[SourceImage]:
    """Make images in threads (Pillow releases the GIL) and yield them in order.

    `items` is consumed in this thread, only a few ahead of the results.
    """
    # A scheduler may give a job fewer cores than the machine has; not every system can tell.
    affinity = getattr(os, "sched_getaffinity", None)
    num_threads = threads or (len(affinity(0)) if affinity else os.cpu_count() or 1)
    with ThreadPoolExecutor(num_threads) as pool:
        waiting: deque[Future[SourceImage]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(item))
                if len(waiting) == 4 * num_threads:  # bounds memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def encoded_png(pixels: UInt8[np.ndarray, "..."]) -> bytes:
    """Encode pixels, or class ids, as a PNG."""
    buffer = io.BytesIO()
    # Level 1 gives files as small as 6 here, in half the time.
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
