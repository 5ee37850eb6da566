"""Files that are either whole or not there: write temp, fsync, rename."""

import errno
import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError

# The name of what is not whole yet: hidden, beside the file, and known to `sweep`.
TEMP_SUFFIX = ".tmp"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_RIGHT = {errno.EROFS, errno.EACCES, errno.EPERM}
AHEAD = 10.0  # seconds; clocks of machines that share a disk are never quite the same


class UnwritableError(InputError):
    """A file that the disk does not take: it is full, or nobody may write there.

    Attributes:
        reason: what the system says, such as "No space left on device".
    """

    def __init__(self, path: Path, error: OSError) -> None:
        # By its number, for pyarrow has a text of its own.
        self.reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = "make room" if error.errno in NO_ROOM else "let it be written"
        super().__init__(f"{path}: cannot be written ({self.reason}); {remedy}, then start again")


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Name the file when the disk does not take what the block writes to it.

    Raises:
        UnwritableError: the disk is full, the file would be too big, or nobody may write there.
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
    """Give a temporary path beside `path`; it takes the name `path` when the block ends well.

    A reader, and a machine that loses power, sees the old file or the new one, never a half.

    Args:
        path: where the finished file shall stand; its folder is made when missing.

    Yields:
        the path to write to. On an exception it is removed and `path` is left as it was.

    Raises:
        UnwritableError: the disk is full, or nobody may write there.
        InputError: a folder stands where the file shall.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder, where a file shall be written; move it away")
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
            temp.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner can read
            temp.replace(path)
            flush_to_disk(path.parent)
        except BaseException:
            with suppress(OSError):  # of a disk that cannot be written any more
                temp.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_write(path) as temp:
        temp.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def flush_to_disk(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_stale_temp_files(folder: Path) -> None:
    """Remove the temp files that killed writers have left in a folder, and beside it for it.

    A writer that lives after all fails when it would give its file a name. Folders below are left.
    """
    own = f".{glob.escape(folder.name)}.{'?' * 8}{TEMP_SUFFIX}"
    for left in (*folder.glob(f".*{TEMP_SUFFIX}"), *folder.parent.glob(own)):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def clamp_future_mtimes(paths: Iterable[Path]) -> list[Path]:
    """Give files whose time stamp is ahead of the clock the time of now.

    A clock that was set back, or another machine's, leaves such files. The workflow would find
    every result of theirs older than what it was made from, and throw it away.

    Returns:
        those that it changed. One that may not be changed is left as it is.
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
    """What the disk says, where an exception, or one behind it, comes of writing to `path`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            if cause.errno in NO_ROOM | {errno.EROFS}:
                return cause  # reading never ends so
            if cause.errno in NO_RIGHT and _is_of(cause.filename, path):
                return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _is_of(filename: object, path: Path) -> bool:
    if not isinstance(filename, str | os.PathLike):
        return False
    return Path(filename) in (path, *path.parents) or Path(filename).parent == path.parent


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
