"""Atomic writes: temp file, fsync, rename."""

import errno
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError

# Temp files are hidden, next to their target, and found by `remove_stale_temp_files`.
TEMP_SUFFIX = ".tmp"
# How pyarrow stores tables of images; keys that follow each other differ in few characters.
COMPACT: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["variant", "label", "predicted", "split", "shard",
                       "top5.list.element", "probability.list.element"],
    "column_encoding": {"key": "DELTA_BYTE_ARRAY", "row": "DELTA_BINARY_PACKED"},
}  # fmt: skip
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_RIGHT = {errno.EROFS, errno.EACCES, errno.EPERM}
AHEAD = 10.0  # seconds; clocks of machines that share a disk differ slightly


class UnwritableError(InputError):
    """A file that cannot be written: the disk is full, or permission is missing.

    Attributes:
        reason: the system's message, such as "No space left on device".
    """

    def __init__(self, path: Path, error: OSError) -> None:
        # By errno, since pyarrow has its own text.
        self.reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = "make room" if error.errno in NO_ROOM else "make it writable"
        super().__init__(f"{path}: cannot be written ({self.reason}); {remedy}, then start again")


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Name the file if the block fails to write to it.

    Raises:
        UnwritableError: the disk is full, the file would be too big, or permission is missing.
    """
    try:
        yield
    except InputError:
        raise  # an inner file has been named already
    except Exception as error:
        reason = _reason_of(error, path)
        if reason is None:
            raise
        raise UnwritableError(path, reason) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temp path, which is renamed to `path` when the block succeeds.

    Readers see the old file or the new one, even after a power loss, never a partial one.

    Args:
        path: path of the finished file; its folder is created if missing.

    Yields:
        the path to write to. On an exception it is removed and `path` is unchanged.

    Raises:
        UnwritableError: the disk is full, or permission is missing.
        InputError: `path` is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, got a folder; move it away")
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=TEMP_SUFFIX, dir=path.parent
        )
        os.close(handle)
        temp = Path(name)
        try:
            yield temp
            flush_to_disk(temp)
            follow_umask(temp)  # mkstemp makes files that only their owner can read
            temp.replace(path)
            flush_to_disk(path.parent)
        except BaseException:
            with suppress(OSError):  # the disk may be unwritable
                temp.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically; surrogates are the bytes that were not UTF-8."""
    with atomic_write(path) as temp:
        temp.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically; NaN and infinity are errors."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def flush_to_disk(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def follow_umask(path: Path) -> None:
    """Give a file the permissions of any other new file of this user."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def remove_stale_temp_files(folder: Path) -> None:
    """Remove temp files of killed writers in a folder.

    A writer that is still alive fails when it renames its file. Subfolders are not touched.
    """
    for left in folder.glob(f".*{TEMP_SUFFIX}"):
        left.unlink(missing_ok=True)


def clamp_future_mtimes(paths: Iterable[Path]) -> list[Path]:
    """Set mtimes that are ahead of the clock to now.

    They come from a clock that was set back, or another machine's. The workflow would consider
    every result older than such an input, and delete it.

    Returns:
        the changed files. Files without permission are left unchanged.
    """
    now = time.time()
    changed = []
    for path in paths:
        with suppress(OSError):
            if path.stat().st_mtime > now + AHEAD:
                os.utime(path, (now, now))
                changed.append(path)
    return changed


def _reason_of(error: BaseException, path: Path) -> OSError | None:
    """Find the OSError of writing to `path` in an exception's chain."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            if cause.errno in NO_ROOM | {errno.EROFS}:
                return cause  # never raised by reading
            if cause.errno in NO_RIGHT and _is_of(cause.filename, path):
                return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _is_of(filename: object, path: Path) -> bool:
    if not isinstance(filename, str | os.PathLike):
        return False
    return Path(filename) in (path, *path.parents) or Path(filename).parent == path.parent
