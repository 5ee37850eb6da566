"""Memory-mapped access to a prepared data set in Arrow shards.

A shard is an Arrow IPC file, so an image is found without reading the others and any number of
processes share one copy in the page cache. Images stay encoded as they were given.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int, Int32

from folk.data.writer import SHARD_SCHEMA, ShardInfo
from folk.evidence.core.errors import InputError, brief_with_type, nearest
from folk.evidence.core.json_file import read_form

FORMAT = 1


class ImageTable:
    """Rows of some shards, in order, by memory map.

    Cheap to hand to another process: only paths and row numbers travel, and the files are opened
    again on first use.
    """

    def __init__(self, shards: Sequence[Path], rows: Int[np.ndarray, "n"] | None = None) -> None:
        """Show `rows` of the shards.

        Args:
            shards: Arrow IPC files, read as one after the other.
            rows: which rows, and in which order; all of them when absent.

        Raises:
            InputError: a shard is missing, truncated or invalid.
        """
        self.shards = tuple(shards)
        self._rows = rows
        opened = [(path, batch) for path in self.shards for batch in _map_shard(path)]
        if not opened:
            raise InputError(f"{', '.join(map(str, self.shards))}: no images")
        self._batch_shards = [path for path, _ in opened]
        self._batches = [batch for _, batch in opened]
        self._ends = np.cumsum([batch.num_rows for batch in self._batches])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._rows is None else len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageTable, (self.shards, self._rows)

    def key(self, index: int) -> str:
        """Name of an image."""
        return str(self._value(index, "key").as_py())

    def image_bytes(self, index: int) -> bytes:
        """The encoded image."""
        return self._value(index, "image").as_buffer().to_pybytes()  # type: ignore[no-any-return]

    def annotation_bytes(self, index: int) -> bytes | None:
        """The encoded annotation, None where there is none."""
        value = self._value(index, "annotation")
        return value.as_buffer().to_pybytes() if value.is_valid else None

    def shard(self, index: int) -> Path:
        """The file that holds an image."""
        batch, _ = self._place(index)
        return self._batch_shards[batch]

    def labels(self) -> Int32[np.ndarray, "n"]:
        """All labels, in the order of the table."""
        labels = np.concatenate([batch.column("label").to_numpy() for batch in self._batches])
        return labels if self._rows is None else labels[self._rows]

    def keys(self) -> list[str]:
        """All keys, in the order of the table."""
        keys = pa.chunked_array([batch.column("key") for batch in self._batches])
        if self._rows is not None:
            keys = keys.take(pa.array(self._rows))
        return keys.to_pylist()  # type: ignore[no-any-return]

    def select(self, rows: Int[np.ndarray, "m"]) -> "ImageTable":
        """Select rows of the table, in this order."""
        return ImageTable(self.shards, rows if self._rows is None else self._rows[rows])

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        row = index if self._rows is None else int(self._rows[index])
        batch = int(np.searchsorted(self._ends, row, side="right"))
        return batch, row - int(self._ends[batch]) + self._batches[batch].num_rows

    def _value(self, index: int, column: str) -> Any:
        batch, row = self._place(index)
        return self._batches[batch].column(column)[row]


@dataclass(frozen=True)
class Description:
    """The keys of `dataset.json`.

    Attributes:
        name: of the data set.
        kind: "scenes", "folder", or the kind of archive it was made from.
        classes: names, in the order of the labels.
        segmentation_classes: names of the ids in annotations, None without annotations.
        counts: images by split.
        image_size: (height, width) in pixels when all images share it, else None.
        sources: name, sha256 and bytes of what the images come from.
        shards: expected rows, size and digest of each shard.
        wnids: WordNet ids of the classes, in the order of the labels, where they are known.
        also_learned_from: images of evaluation splits that are training images too.
        folds: published choices of training images, each by their positions, where there are any.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    segmentation_classes: tuple[str, ...] | None
    counts: dict[str, int]
    image_size: tuple[int, int] | None
    sources: list[dict[str, Any]]
    shards: dict[str, ShardInfo]
    wnids: tuple[str, ...] | None = None
    also_learned_from: dict[str, Any] | None = None
    folds: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedData(Description):
    """A prepared data set: the content of `dataset.json` in `folder`, and its images."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "PreparedData":
        """Open a folder that `folk prepare` made.

        The sizes of the shards are compared with `dataset.json`; digests of gigabytes, and the
        manifest, are left to `folk verify`.

        Raises:
            InputError: a file is missing, truncated or inconsistent with the others.
        """
        where = folder / "dataset.json"
        if not where.is_file():
            raise InputError(f"{where}: no such file; make the data set with `folk prepare` first")
        description = read_form(where, Description, FORMAT, "run prepare again")
        for name, shard in description.shards.items():
            if not re.fullmatch(r"[^/\\]+-\d{5}\.arrow", name):
                raise InputError(f"{where}: invalid shard name '{name}'; run prepare again")
            path = folder / "shards" / name
            if not path.is_file():
                raise InputError(f"{path}: missing shard; run prepare again")
            if path.stat().st_size != shard.bytes:
                raise InputError(
                    f"{path}: expected {shard.bytes} bytes ({where}), got {path.stat().st_size}; "
                    "run prepare again"
                )
        return cls(folder=folder, **vars(description))

    def split(self, names: str | Sequence[str]) -> ImageTable:
        """Select the images of a split, or of several in sequence.

        Raises:
            InputError: the split is unknown or empty.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        paths, where = [], self.folder / "dataset.json"
        for name in wanted:
            if name not in self.counts:
                hint = nearest(name, self.counts)
                raise InputError(f"{where}: unknown split '{name}' of data set '{self.name}'{hint}")
            own = sorted(shard for shard in self.shards if shard.rpartition("-")[0] == name)
            if not own:
                raise InputError(f"{where}: split '{name}' of '{self.name}' is empty")
            paths += [self.folder / "shards" / shard for shard in own]
        return ImageTable(paths)


def _map_shard(path: Path) -> list[Any]:
    if not path.is_file():
        raise InputError(f"{path}: missing shard; run prepare again")
    try:
        # One thread: a worker process decodes images, and Arrow's pool does not survive a fork.
        reader = pa.ipc.open_file(
            pa.memory_map(str(path)), options=pa.ipc.IpcReadOptions(use_threads=False)
        )
        if not reader.schema.equals(SHARD_SCHEMA):
            raise pa.ArrowInvalid(f"its columns are {', '.join(reader.schema.names)}")
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        for batch in batches:
            # Arrow does not check later reads: a wrong offset is a crash, or another image's
            # bytes. This validates keys, labels and offsets, not images.
            batch.validate(full=True)
            if any(batch.column(f.name).null_count for f in SHARD_SCHEMA if not f.nullable):
                raise pa.ArrowInvalid("image without key, label or bytes")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{path}: invalid or truncated shard ({brief_with_type(error)}); run prepare again"
        ) from error
    return batches
