"""Resumable creation of a prepared data set: shards, manifest and description.

Unfinished work is kept in `<folder>/partial`: whole shards, and a piece of the manifest for each.
A restarted job begins after the images of finished shards.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from folk.data.datasets.source import Entry, Source, check_counts
from folk.data.decode import MAX_RATIO, check_image, decode_annotation, decode_image, encoded_png
from folk.data.repeated import check_unique_keys, log_shared_images, shared_images
from folk.data.shards import FORMAT, PreparedData
from folk.data.writer import Row, ShardInfo, write_shard
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import COMPACT, atomic_write, write_json, write_text

MAX_ROWS_PER_SHARD = 65536
MANIFEST_ROWS = 65536  # of a row group
MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("annotation_sha256", pa.string()),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)


def store_images(
    source: Source,
    folder: Path,
    *,
    name: str,
    identity: str,
    sources: Sequence[Mapping[str, Any]] | None = None,
    expected: Mapping[str, int] | None = None,
    num_splits: int | None = None,
    threads: int | None = None,
    confirm: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Check every image by decoding it, and store it; its bytes stay unchanged.

    Memory does not grow with the number of images, except for the names of one split and the
    digests of the training images. Images that are in a training and in an evaluation split are
    listed in the log and in `dataset.json`.

    Args:
        source: the images to store.
        folder: folder of the data set; unfinished work is in its `partial`.
        name: name of the data set in tables.
        identity: digest of all that decides the result; unfinished work with another one is
            deleted.
        sources: name, sha256 and bytes of what the images come from; None digests the images.
        expected, num_splits: as for `check_counts`.
        threads: decoding threads; None takes one per core.
        confirm: called before files of a start are removed, and before all is published; raises
            if another start of the job has taken over.

    Returns:
        number of images by split.

    Raises:
        InputError: an image that cannot be decoded, a duplicate key, or an unexpected number of
            images or splits.
    """
    finished = folder / "finished"  # a job may still be killed while its record is written
    if finished.is_file() and finished.read_text(encoding="utf-8") == identity:
        with contextlib.suppress(InputError):  # it has been published since
            return PreparedData.open(folder).counts
    check = partial(check_counts, expected or {}, num_splits)
    if source.counts is not None:  # hours before the last image is read
        check(source.counts)
    temp = folder / "partial"
    confirm()  # what is unfinished there may be another start's
    try:
        journal = _Journal(temp, identity)
        for split, run in _shards_of(_in_threads(_work(source, journal.counts.total()), threads)):
            journal.add(split, run)
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
            "sources": [_digest(name, manifest)] if sources is None else [*map(dict, sources)],
            "shards": {shard: asdict(info) for shard, info in journal.shards.items()},
            **({} if wnids is None else {"wnids": [*wnids]}),
            **({} if source.folds is None else {"folds": [*map(list, source.folds)]}),
            **({"also_learned_from": shared} if shared else {}),
        }
        write_json(temp / "dataset.json", description)
    except FileNotFoundError:
        confirm()  # another start may have published what both have made
        raise
    confirm()
    # In place of an older one. The description moves last: without it a data set cannot be
    # opened, so that no reader sees one that is half new and half old.
    (folder / "dataset.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "shards", ignore_errors=True)
    for made in ("shards", "manifest.parquet", "dataset.json"):
        (temp / made).replace(folder / made)
    write_text(finished, identity)
    shutil.rmtree(temp)
    return counts


def _digest(name: str, manifest: Path) -> dict[str, Any]:
    """Describe a folder of images by their keys and digests."""
    table = pq.ParquetFile(manifest).read(["key", "sha256", "bytes"]).to_pydict()
    digest = hashlib.sha256()
    for key, sha256 in zip(table["key"], table["sha256"], strict=True):
        digest.update(f"{key}\0{sha256}\n".encode())
    return {"name": name, "sha256": digest.hexdigest(), "bytes": sum(table["bytes"])}


class _Checked(NamedTuple):
    """One image on its way into a shard; `image` and `annotation` are encoded."""

    entry: Entry
    image: bytes
    sha256: str
    annotation: bytes | None
    annotation_sha256: str | None


def _work(source: Source, start: int) -> Iterator[Callable[[], _Checked]]:
    """Read images in this thread, which walks the archive; they are decoded in another."""
    for entry in islice(source.images(), start, None):
        image = entry.image if isinstance(entry.image, Path) else entry.image.read()
        marks = None if entry.annotation is None else entry.annotation.read()
        yield partial(_checked, entry, image, marks, source.recode)


def _checked(
    entry: Entry,
    image: bytes | Path,
    annotation: bytes | None,
    recode: Callable[[Any, str], Any] | None,
) -> _Checked:
    where = str(entry.image) if isinstance(entry.image, Path) else entry.image.where
    data = image.read_bytes() if isinstance(image, Path) else image
    if annotation is None or entry.annotation is None or recode is None:
        check_image(data, where=lambda: where)
    else:
        marked = entry.annotation.where
        size = decode_image(data, where=lambda: where).size
        marks = decode_annotation(annotation, where=lambda: marked)
        if marks.size != size:
            raise InputError(
                f"{marked}: expected {size} pixels as in the image, got {marks.size}; get the "
                "official archive"
            )
        if max(size) > MAX_RATIO * min(size):
            raise InputError(
                f"{where}: {size[0]} x {size[1]} pixels; for segmentation a side may be at most "
                f"{MAX_RATIO} times the other; remove it"
            )
        annotation = encoded_png(recode(marks, marked))
    digest = None if annotation is None else hashlib.sha256(annotation).hexdigest()
    return _Checked(entry, data, hashlib.sha256(data).hexdigest(), annotation, digest)


def _shards_of(images: Iterable[_Checked]) -> Iterator[tuple[str, Iterator[_Checked]]]:
    """Group consecutive images into shards: one split each, and not too long."""
    for split, run in groupby(images, key=lambda image: image.entry.split):
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

    def add(self, split: str, images: Iterable[_Checked]) -> None:
        """Write a shard, then its piece of the manifest."""
        number = sum(shard.rpartition("-")[0] == split for shard in self.shards)
        shard = f"{split}-{number:05d}.arrow"
        listed: list[tuple[Any, ...]] = []

        def rows() -> Iterator[Row]:
            for row, (entry, image, sha256, marks, marks_sha256) in enumerate(images):
                digests = (sha256, marks_sha256)
                listed.append((entry.key, entry.label, split, len(image), *digests, shard, row))
                yield entry.key, entry.label, image, marks

        info = write_shard(self._temp / "shards" / shard, rows())
        columns = zip(*listed, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, MANIFEST_SCHEMA, strict=True)]
        metadata = json.dumps({"shard": shard, **asdict(info)})
        table = pa.table(arrays, schema=MANIFEST_SCHEMA.with_metadata({"shard": metadata}))
        with atomic_write(self._piece(len(self.shards))) as unfinished:
            pq.write_table(table, unfinished)
        self._take_up()

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


def _in_threads(items: Iterable[Callable[[], _Checked]], threads: int | None) -> Iterator[_Checked]:
    """Make images in threads (Pillow releases the GIL) and yield them in order.

    `items` is consumed in this thread, only a few ahead of the results.
    """
    # A scheduler may give a job fewer cores than the machine has; not every system can tell.
    affinity = getattr(os, "sched_getaffinity", None)
    num_threads = threads or (len(affinity(0)) if affinity else os.cpu_count() or 1)
    with ThreadPoolExecutor(num_threads) as pool:
        waiting: deque[Future[_Checked]] = deque()
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
