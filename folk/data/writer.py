"""Writing of shards: large Arrow files of encoded images, each written atomically."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

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
# Key, label (-1 when unlabeled), encoded image, encoded annotation (class ids, 255 = ignore).
Row = tuple[str, int, bytes, bytes | None]


@dataclass(frozen=True)
class ShardInfo:
    """Entry of `dataset.json` for one shard: images, file size, sha256."""

    rows: int
    bytes: int
    sha256: str


def write_shard(path: Path, rows: Iterable[Row]) -> ShardInfo:
    """Write a shard atomically; an exception leaves none.

    A thread writes one batch while the next is collected, so two are in memory.
    """
    num_rows = 0
    with atomic_write(path) as temp, temp.open("wb") as file:
        hashed = _HashedFile(file)
        sink = pa.PythonFile(hashed, mode="w")
        with pa.ipc.new_file(sink, SHARD_SCHEMA) as arrow, ThreadPoolExecutor(1) as thread:
            written: Future[None] | None = None
            for batch in _batches(rows):
                if written is not None:
                    written.result()
                written = thread.submit(_write, arrow, batch)
                num_rows += len(batch)
            if written is not None:
                written.result()
    return ShardInfo(num_rows, hashed.num_bytes, hashed.sha256.hexdigest())


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row[2]) + len(row[3] or b"")
        if len(batch) == ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write(arrow: Any, rows: Sequence[Row]) -> None:
    keys, labels, images, annotations = zip(*rows, strict=True)
    # `pa.array` copies images again and again while it grows.
    ends = np.cumsum([0, *map(len, images)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(images))]
    columns = [
        pa.array(keys, pa.string()),
        pa.array(labels, pa.int32()),
        pa.Array.from_buffers(pa.binary(), len(images), buffers),
        pa.array(annotations, pa.binary()),
    ]
    arrow.write_batch(pa.record_batch(columns, schema=SHARD_SCHEMA))


class _HashedFile(io.RawIOBase):
    """File that hashes what is written to it, since shards are too big to read again."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.num_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(data)
        self.sha256.update(data)
        self.num_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.num_bytes
