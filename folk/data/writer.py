"""Writer of shards: large Arrow files of encoded images, each written atomically."""

import contextlib
import hashlib
import io
import re
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write

ROWS_PER_BATCH = 1024
# A batch is also ended by its size, so that large images do not pile up in memory.
BYTES_PER_BATCH = 64 * 2**20

SHARD_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("annotation", pa.binary()),
    ]
)
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
# Key, label, encoded image, encoded annotation.
Row = tuple[str, int, bytes, bytes | None]

_SHARD_NAME = re.compile(r"(?P<split>[^/\\]+)-\d{5}\.arrow")


@dataclass(frozen=True)
class ShardInfo:
    """Entry of `dataset.json` for one shard: images, file size, sha256."""

    rows: int
    bytes: int
    sha256: str


class ShardWriter:
    """Writer of the shards of one split, each written atomically.

    Use as a context manager; `shards` is complete after it. A shard gets its name when it is full;
    one that an exception interrupts is removed. A thread writes one batch while the next is
    collected, so two are in memory; an error there is raised by the next call.
    """

    def __init__(
        self, folder: Path, split: str, *, max_rows_per_shard: int = 65536, first: int = 0
    ) -> None:
        """Prepare to write `<folder>/<split>-00000.arrow` and so on.

        Args:
            folder: where the shards go; made when missing.
            split: name of the split.
            max_rows_per_shard: images after which the next shard begins.
            first: number of the first shard, if others of the split exist already.
        """
        assert max_rows_per_shard > 0
        self.shards: dict[str, ShardInfo] = {}
        self._folder = folder
        self._split = split
        self._first = first
        self._max_rows = max_rows_per_shard
        self._rows: list[Row] = []
        self._rows_bytes = 0
        self._rows_in_shard = 0
        self._open = contextlib.ExitStack()
        self._writer: Any = None
        self._hashed: _HashedFile | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            try:
                self._finish_shard()
            except BaseException:
                self._open.__exit__(*sys.exc_info())
                raise
        else:
            self._open.__exit__(*error)

    def add(
        self, key: str, label: int, image: bytes, annotation: bytes | None = None
    ) -> tuple[str, int]:
        """Append one image.

        Args:
            key: unique name of the image in the data set.
            label: class, -1 when unlabeled.
            image: the encoded image, stored as it is.
            annotation: an encoded image of class ids, 255 = ignore.

        Returns:
            name of the shard and row in it.
        """
        if self._rows_in_shard == self._max_rows:
            self._finish_shard()
        place = (self._name(), self._rows_in_shard)
        self._rows.append((key, label, image, annotation))
        self._rows_bytes += len(image) + len(annotation or b"")
        self._rows_in_shard += 1
        if len(self._rows) == ROWS_PER_BATCH or self._rows_bytes >= BYTES_PER_BATCH:
            self._write_batch()
        return place

    def _name(self) -> str:
        return f"{self._split}-{self._first + len(self.shards):05d}.arrow"

    def _write_batch(self) -> None:
        if self._writer is None:
            temp = self._open.enter_context(atomic_write(self._folder / self._name()))
            self._hashed = _HashedFile(self._open.enter_context(temp.open("wb")))
            sink = pa.PythonFile(self._hashed, mode="w")
            self._writer = self._open.enter_context(pa.ipc.new_file(sink, SHARD_SCHEMA))
            # Entered last, so that it ends before the file that it writes is closed.
            self._thread = self._open.enter_context(ThreadPoolExecutor(1))
        self._wait()
        rows, self._rows, self._rows_bytes = self._rows, [], 0
        assert self._thread is not None
        self._written = self._thread.submit(_write, self._writer, rows)

    def _wait(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _finish_shard(self) -> None:
        if self._rows:
            self._write_batch()
        self._wait()
        if self._hashed is None:
            return
        name, hashed = self._name(), self._hashed
        self._open.close()  # end of the Arrow file, then of the file, then its name
        self.shards[name] = ShardInfo(self._rows_in_shard, hashed.num_bytes, hashed.hexdigest())
        self._writer, self._thread, self._hashed, self._rows_in_shard = None, None, None, 0


def _write(writer: Any, rows: Sequence[Row]) -> None:
    keys, labels, images, annotations = zip(*rows, strict=True)
    types = SHARD_SCHEMA.types
    columns = [
        pa.array(keys, types[0]),
        pa.array(labels, types[1]),
        _binary(images),
        pa.array(annotations, types[3]),
    ]
    writer.write_batch(pa.record_batch(columns, schema=SHARD_SCHEMA))


def _binary(values: Sequence[bytes]) -> Any:
    # `pa.array` copies what it has again and again while it grows.
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def split_of(shard: str, where: Path | None = None) -> str:
    """Parse the split's name out of a shard's file name.

    Args:
        shard: the name, without a folder.
        where: the file that names it, for the error.

    Raises:
        InputError: invalid shard name.
    """
    match = _SHARD_NAME.fullmatch(shard)
    if match is None:
        place = "" if where is None else f"{where}: "
        raise InputError(
            f"{place}invalid shard name '{shard}'; expected <split>-00000.arrow; run prepare again"
        )
    return match["split"]


class _HashedFile(io.RawIOBase):
    """File that hashes what is written to it, since shards are too big to read again."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.num_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        written = self._file.write(data)
        self._sha256.update(data)
        self.num_bytes += written
        return int(written)

    def tell(self) -> int:
        return self.num_bytes

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()
