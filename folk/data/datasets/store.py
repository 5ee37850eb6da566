"""From images in archives to a prepared data set, in steps that survive a kill.

What grows stands in `<folder>/partial`: shards, each of them whole, and for each a piece of the
manifest. A restarted job passes over the images of finished shards without reading them.
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
from folk.data.repeated import refuse_repeated_keys, shared_images, tell_shared_images
from folk.data.shards import PreparedData
from folk.data.writer import MANIFEST_SCHEMA, ShardInfo, ShardWriter
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write, write_json, write_text


class Entry(NamedTuple):
    """An image that is still in its archive; an annotation lies in the same one."""

    key: str
    label: int  # -1 when unlabeled
    split: str
    archive: Archive
    image: Member
    annotation: Member | None = None


@dataclass(frozen=True)
class Contents:
    """What a set of archives holds.

    Attributes:
        kind: of archives, as in the recipe.
        classes: names, in the order of the labels.
        images: gives the images; twice the same ones in the same order.
        counts: images by split where the archive's directory tells before they are read.
        wnids: WordNet ids of the classes, None where the archive does not tell.
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
    """Decode every bit of every image once, and store its bytes as they are.

    Memory does not grow with the number of images, but for the names of one split and the digests
    of what is learned from.

    Args:
        contents: what to store.
        folder: where the data set shall stand; unfinished work stands in its `partial`.
        name: of the data set, as tables show it.
        sources: name, sha256 and bytes of each archive.
        identity: digest of recipe, archives and code; unfinished work with another one is swept.
        expected: images by split that a whole archive has; `each` speaks of all splits.
        num_splits: number of splits that whole archives have.
        threads: that decode; absent takes one for each core.
        confirm: called when all is made, before it takes its place; raises where another start of
            the job has taken over.

    Returns:
        number of images by split.

    Raises:
        InputError: an image that cannot be decoded, one that is there twice, other numbers of
            images or splits than expected.
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
    refuse_repeated_keys(temp / "manifest.parquet")
    shared = shared_images(temp / "manifest.parquet")
    tell_shared_images(shared, journal.counts)
    said = prepare.description(
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
    write_json(temp / "dataset.json", said)
    confirm()
    prepare.move_data_set(temp, folder)
    write_text(finished, identity)
    shutil.rmtree(temp)
    return dict(journal.counts)


def _add(writer: ShardWriter, image: SourceImage) -> tuple[str, int]:
    return writer.add(image.key, image.label, image.image, image.annotation)


class _Journal:
    """Which shards are finished: a numbered piece of the manifest for each, written after it."""

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
        said = json.dumps({"shard": shard, **asdict(info)})
        path = self._temp / "pieces" / f"{len(self._pieces):05d}.parquet"
        with atomic_write(path) as unfinished:
            pq.write_table(table.replace_schema_metadata({"shard": said}), unfinished)
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
        said = json.loads(pq.read_schema(piece).metadata[b"shard"])
        shard, info = said.pop("shard"), ShardInfo(**said)
        stands = self._temp / "shards" / shard
        if not stands.is_file() or stands.stat().st_size != info.bytes:
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
        """Read in the thread that walks through the archive, so that its file is read in order."""
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
                f"{where()}: {marks.size} pixels where its image has {image.size}; get the "
                "official archive"
            )
        if max(image.size) > MAX_RATIO * min(image.size):
            raise InputError(
                f"{entry.archive.locate(entry.image)}: {image.width} x {image.height} pixels; "
                f"an image to segment is at most {MAX_RATIO} times as long as wide; remove it"
            )
        annotation = prepare.encoded_png(recode(marks, where))
    return SourceImage.digested(entry.key, entry.label, entry.split, item.image, annotation)


def _shards_of(images: Iterable[SourceImage]) -> Iterator[tuple[str, Iterator[SourceImage]]]:
    """Runs of images that make a shard: of one split, and not too long."""
    for split, run in groupby(images, key=attrgetter("split")):
        left = iter(run)
        while (first := next(left, None)) is not None:
            yield split, chain([first], islice(left, prepare.MAX_ROWS_PER_SHARD - 1))


def _each_once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Refuse an image that is there twice; archives keep the files of a folder together."""
    folder, seen = "", set[str]()
    for entry in entries:
        inside, _, file = entry.key.rpartition("/")
        if inside != folder:
            folder, seen = inside, set()
        if file in seen:
            where = entry.archive.locate(entry.image)
            raise InputError(f"{where}: a second image of this name; get the official archive")
        seen.add(file)
        yield entry


def _check_counts(
    counts: Mapping[str, int], expected: Mapping[str, int] | None, num_splits: int | None
) -> None:
    if num_splits is not None and len(counts) != num_splits:
        raise InputError(
            f"the archives hold {len(counts)} splits, archive.splits says {num_splits}; one of "
            "them is not whole or not the official one"
        )
    said = {k: n for k, n in (expected or {}).items() if k != "each"}
    if expected is not None and "each" in expected:
        said = dict.fromkeys(counts, expected["each"]) | said
    for split, number in said.items():
        if counts.get(split, 0) != number:
            raise InputError(
                f"the archives hold {counts.get(split, 0)} images of split '{split}', "
                f"archive.images says {number}; one of them is not whole or not the official one"
            )
