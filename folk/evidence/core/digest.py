"""Digests of files and of values.

Each file has two digests, computed in one pass: sha256 for records and the audit, md5 because DVC
names files by it.
"""

import base64
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from folk.evidence.core.canonical import sha256_of_json as sha256_of_json
from folk.evidence.core.each_file import of_each_file
from folk.evidence.core.errors import InputError

BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class FileDigest:
    """Path, size and digests of one file; `path` has forward slashes."""

    path: str
    size: int  # bytes
    sha256: str
    md5: str


def digest_file(path: Path) -> FileDigest:
    """Compute both digests of a file in one pass.

    Raises:
        InputError: the file is missing, is a folder or cannot be read.
    """
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    block = memoryview(bytearray(BLOCK_BYTES))
    try:
        with path.open("rb", buffering=0) as stream, ThreadPoolExecutor(1) as pool:
            while count := stream.readinto(block):
                read = block[:count]
                # The thread starts with the first large block: most files are small.
                other = pool.submit(md5.update, read) if count == BLOCK_BYTES else None
                sha256.update(read)
                if other is None:
                    md5.update(read)
                else:
                    other.result()
                size += count
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be read for its digest: {reason}") from error
    return FileDigest(path.as_posix(), size, sha256.hexdigest(), md5.hexdigest())


def digest_url(sha256: str) -> str:
    """Return the address of a file by its content, wherever it is.

    Source: RFC 6920, `ni:///sha-256;...`.
    """
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{digest}"


def sha256_of(path: Path) -> str:
    """The sha256 of a file as 64 hex digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_or_none(path: Path) -> str | None:
    """The sha256 of a file; None when it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return None


def sha256_of_all(paths: Iterable[Path]) -> dict[Path, str | None]:
    """The sha256 of each file, on all cores; None for those that cannot be read."""
    return of_each_file(paths, sha256_or_none)


def digest_input(path: Path) -> FileDigest:
    """Compute the digest of an unchanging file, cached for this process.

    Identity, record and task of a job all need the digests of archives of a hundred gigabytes.

    Raises:
        InputError: as `digest_file`.
    """
    if not path.is_file():
        return digest_file(path)  # raises the error
    status = path.stat()
    return _digest_known(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_known(path: Path, inode: int, size: int, mtime_ns: int) -> FileDigest:
    # The last arguments are part of the cache key, so that a replaced file is read again.
    return digest_file(path)


def digest_tree(folder: Path) -> list[FileDigest]:
    """Digest every file below a folder, in the order of their paths.

    Paths are relative to `folder`. Links are followed to their bytes.

    Raises:
        InputError: the folder is missing or a file cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [
        replace(digest, path=path.relative_to(folder).as_posix())
        for path, digest in of_each_file(files, digest_file).items()
    ]
    return sorted(found, key=lambda digest: digest.path)
