"""Writer of shards: large Arrow files of encoded images, each written atomically."""

import contextlib
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
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
    """Rows on their way into one shard, see `shard_writer`.

    A thread writes one batch while the next is collected, so two are in memory; an error there is
    raised by the next call.

    Attributes:
        name: file name of the shard.
        info: None until the shard is finished.
    """

    def __init__(self, name: str, arrow: Any, thread: ThreadPoolExecutor) -> None:
        self.name = name
        self.info: ShardInfo | None = None
        self.num_rows = 0
        self._arrow, self._thread = arrow, thread
        self._rows: list[Row] = []
        self._rows_bytes = 0
        self._written: Future[None] | None = None

    def add(self, key: str, label: int, image: bytes, annotation: bytes | None = None) -> int:
        """Append one image and return its row.

        Args:
            key: unique name of the image in the data set.
            label: class, -1 when unlabeled.
            image: the encoded image, stored as it is.
            annotation: an encoded image of class ids, 255 = ignore.
        """
        self._rows.append((key, label, image, annotation))
        self._rows_bytes += len(image) + len(annotation or b"")
        self.num_rows += 1
        if len(self._rows) == ROWS_PER_BATCH or self._rows_bytes >= BYTES_PER_BATCH:
            self._write_batch()
        return self.num_rows - 1

    def flush(self) -> None:
        """Write what is left, and wait for it."""
        if self._rows:
            self._write_batch()
        self._wait()

    def _write_batch(self) -> None:
        self._wait()
        rows, self._rows, self._rows_bytes = self._rows, [], 0
        self._written = self._thread.submit(_write, self._arrow, rows)

    def _wait(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()


@contextlib.contextmanager
def shard_writer(folder: Path, split: str, number: int = 0) -> Iterator[ShardWriter]:
    """Write the shard `<folder>/<split>-<number>.arrow` atomically; an exception leaves none."""
    path = folder / f"{split}-{number:05d}.arrow"
    with atomic_write(path) as temp, temp.open("wb") as file:
        hashed = _HashedFile(file)
        sink = pa.PythonFile(hashed, mode="w")
        with pa.ipc.new_file(sink, SHARD_SCHEMA) as arrow, ThreadPoolExecutor(1) as thread:
            writer = ShardWriter(path.name, arrow, thread)
            yield writer
            writer.flush()
    writer.info = ShardInfo(writer.num_rows, hashed.num_bytes, hashed.hexdigest())


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
