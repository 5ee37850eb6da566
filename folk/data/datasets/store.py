"""Resumable conversion of archives to a prepared data set.

Unfinished work is kept in `<folder>/partial`: whole shards, and a piece of the manifest for each.
A restarted job skips the images of finished shards without reading them.
"""

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from folk.data import prepare
from folk.data.datasets.members import Archive, Member
from folk.data.decode import MAX_RATIO, check_image, decode_annotation, decode_image
from folk.data.prepare import SourceImage
from folk.data.repeated import check_unique_keys, log_shared_images, shared_images
from folk.data.shards import PreparedData
from folk.data.writer import MANIFEST_SCHEMA, ShardInfo, ShardWriter
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write, write_json, write_text


class Entry(NamedTuple):
    """An image in its archive, with its annotation from the same archive."""

    key: str
    label: int  # -1 when unlabeled
    split: str
    archive: Archive
    image: Member
    annotation: Member | None = None


@dataclass(frozen=True)
class Contents:
    """Contents of a set of archives.

    Attributes:
        kind: of archives, as in the recipe.
        classes: names, in the order of the labels.
        images: yields the images; every call gives the same ones in the same order.
        counts: images by split, if the archive's directory has them; else None.
        wnids: WordNet ids of the classes, None where the archive has none.
        segmentation_classes: names of the ids in annotations, None without annotations.
        recode: turns an annotation into ids, 255 = ignore; given the decoded one and its name.
    """

    kind: str
    classes: Sequence[str]
    images: Callable[[], Iterator[Entry]]
    counts: Mapping[str, int] | None = None
    wnids: Sequence[str] | None = None
    segmentation_classes: Sequence[str] | None = None
    recode: Callable[[Any, Callable[[], str]], Any] | None = None


def store(
    contents: Contents,
    folder: Path,
    *,
    name: str,
    sources: Sequence[Mapping[str, Any]],
    identity: str,
    expected: Mapping[str, int] | None = None,
    num_splits: int | None = None,
    threads: int | None = None,
    confirm: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Check every image by decoding it, and store its bytes unchanged.

    Memory does not grow with the number of images, except for the names of one split and the
    digests of the training images.

    Args:
        contents: the images to store.
        folder: folder of the data set; unfinished work is in its `partial`.
        name: name of the data set in tables.
        sources: name, sha256 and bytes of each archive.
        identity: digest of recipe, archives and code; unfinished work with another one is deleted.
        expected: images by split in whole archives; `each` is for all splits.
        num_splits: number of splits in whole archives.
        threads: decoding threads; None takes one per core.
        confirm: called when all is made, before it is published; raises if another start of the
            job has taken over.

    Returns:
        number of images by split.

    Raises:
        InputError: an image that cannot be decoded, a duplicate image, or an unexpected number
            of images or splits.
    """
    finished = folder / "finished"  # a job may still be killed while its record is written
    if finished.is_file() and finished.read_text(encoding="utf-8") == identity:
        with contextlib.suppress(InputError):  # it has been published since
            return PreparedData.open(folder).counts
    if contents.counts is not None:  # hours before the last image is read
        _check_counts(contents.counts, expected, num_splits)
    temp = folder / "partial"
    journal = _Journal(temp, identity)
    entries = islice(_each_once(contents.images()), journal.num_rows, None)
    loaded = (_Loaded.from_archive(entry) for entry in entries)
    images = prepare.in_threads(lambda item: _checked(item, contents.recode), loaded, threads)
    for split, run in _shards_of(images):
        first = journal.num_shards(split)
        most = prepare.MAX_ROWS_PER_SHARD
        with ShardWriter(temp / "shards", split, max_rows_per_shard=most, first=first) as writer:
            rows = [prepare.manifest_row(image, *_add(writer, image)) for image in run]
        journal.add(rows, writer.shards)
    _check_counts(journal.counts, expected, num_splits)
    journal.write_manifest()
    check_unique_keys(temp / "manifest.parquet")
    shared = shared_images(temp / "manifest.parquet")
    log_shared_images(shared, journal.counts)
    description = prepare.description(
        name,
        contents.kind,
        contents.classes,
        contents.segmentation_classes,
        dict(journal.counts),
        [dict(source) for source in sources],
        journal.shards,
        contents.wnids,
        shared,
    )
    write_json(temp / "dataset.json", description)
    confirm()
    prepare.move_data_set(temp, folder)
    write_text(finished, identity)
    shutil.rmtree(temp)
    return dict(journal.counts)


def _add(writer: ShardWriter, image: SourceImage) -> tuple[str, int]:
    return writer.add(image.key, image.label, image.image, image.annotation)


class _Journal:
    """List of finished shards: a numbered piece of the manifest for each, written after it."""

    def __init__(self, temp: Path, identity: str) -> None:
        self._temp = temp
        self.shards: dict[str, ShardInfo] = {}
        self.counts: Counter[str] = Counter()
        self._pieces: list[Path] = []
        marker = temp / "identity"
        if not marker.is_file() or marker.read_text(encoding="utf-8") != identity:
            shutil.rmtree(temp, ignore_errors=True)
            (temp / "shards").mkdir(parents=True)
            write_text(marker, identity)
        while self._take_up(temp / "pieces" / f"{len(self._pieces):05d}.parquet"):
            pass
        for left in (temp / "shards").iterdir():  # by a kill
            if left.name not in self.shards:
                left.unlink()

    @property
    def num_rows(self) -> int:
        return self.counts.total()

    def num_shards(self, split: str) -> int:
        return sum(shard.rpartition("-")[0] == split for shard in self.shards)

    def add(self, rows: Sequence[tuple[Any, ...]], shards: Mapping[str, ShardInfo]) -> None:
        ((shard, info),) = shards.items()
        table = prepare.manifest_table(rows)
        metadata = json.dumps({"shard": shard, **asdict(info)})
        path = self._temp / "pieces" / f"{len(self._pieces):05d}.parquet"
        with atomic_write(path) as unfinished:
            pq.write_table(table.replace_schema_metadata({"shard": metadata}), unfinished)
        assert self._take_up(path)

    def write_manifest(self) -> None:
        with (
            atomic_write(self._temp / "manifest.parquet") as path,
            pq.ParquetWriter(path, MANIFEST_SCHEMA) as manifest,
        ):
            for piece in self._pieces:
                manifest.write_table(pq.read_table(piece).replace_schema_metadata(None))

    def _take_up(self, piece: Path) -> bool:
        if not piece.is_file():
            return False
        metadata = json.loads(pq.read_schema(piece).metadata[b"shard"])
        shard, info = metadata.pop("shard"), ShardInfo(**metadata)
        stored = self._temp / "shards" / shard
        if not stored.is_file() or stored.stat().st_size != info.bytes:
            return False
        self.shards[shard] = info
        self.counts[shard.rpartition("-")[0]] += info.rows
        self._pieces.append(piece)
        return True


class _Loaded(NamedTuple):
    entry: Entry
    image: bytes
    annotation: bytes | None

    @classmethod
    def from_archive(cls, entry: Entry) -> "_Loaded":
        """Read an entry; call it from the thread that walks the archive."""
        annotation = None if entry.annotation is None else entry.archive.read(entry.annotation)
        return cls(entry, entry.archive.read(entry.image), annotation)


def _checked(item: _Loaded, recode: Callable[[Any, Callable[[], str]], Any] | None) -> SourceImage:
    entry = item.entry
    annotation = item.annotation
    if annotation is None:
        check_image(item.image, where=lambda: entry.archive.locate(entry.image))
    else:
        image = decode_image(item.image, where=lambda: entry.archive.locate(entry.image))
        assert entry.annotation is not None
        assert recode is not None
        place = entry.annotation

        def where() -> str:
            return entry.archive.locate(place)

        marks = decode_annotation(annotation, where=where)
        if marks.size != image.size:
            raise InputError(
                f"{where()}: expected {image.size} pixels as in the image, got {marks.size}; "
                "get the official archive"
            )
        if max(image.size) > MAX_RATIO * min(image.size):
            raise InputError(
                f"{entry.archive.locate(entry.image)}: {image.width} x {image.height} pixels; "
                f"for segmentation a side may be at most {MAX_RATIO} times the other; remove it"
            )
        annotation = prepare.encoded_png(recode(marks, where))
    return SourceImage.digested(entry.key, entry.label, entry.split, item.image, annotation)


def _shards_of(images: Iterable[SourceImage]) -> Iterator[tuple[str, Iterator[SourceImage]]]:
    """Group consecutive images into shards: one split each, and not too long."""
    for split, run in groupby(images, key=attrgetter("split")):
        left = iter(run)
        while (first := next(left, None)) is not None:
            yield split, chain([first], islice(left, prepare.MAX_ROWS_PER_SHARD - 1))


def _each_once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Reject duplicate images; archives keep the files of a folder together."""
    folder, seen = "", set[str]()
    for entry in entries:
        inside, _, file = entry.key.rpartition("/")
        if inside != folder:
            folder, seen = inside, set()
        if file in seen:
            where = entry.archive.locate(entry.image)
            raise InputError(f"{where}: duplicate image; get the official archive")
        seen.add(file)
        yield entry


def _check_counts(
    counts: Mapping[str, int], expected: Mapping[str, int] | None, num_splits: int | None
) -> None:
    if num_splits is not None and len(counts) != num_splits:
        raise InputError(
            f"archives: expected {num_splits} splits (archive.splits), got {len(counts)}; an "
            "archive is incomplete or not the official one"
        )
    wanted = {k: n for k, n in (expected or {}).items() if k != "each"}
    if expected is not None and "each" in expected:
        wanted = dict.fromkeys(counts, expected["each"]) | wanted
    for split, number in wanted.items():
        if counts.get(split, 0) != number:
            raise InputError(
                f"archives: expected {number} images of split '{split}' (archive.images), got "
                f"{counts.get(split, 0)}; an archive is incomplete or not the official one"
            )
