"""sha256 of many files in parallel."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from folk.evidence.core.each_file import of_each_file

BLOCK_BYTES = 2**20  # fits a core's cache; larger blocks are not faster


def sha256_of(path: Path) -> str | None:
    """Hash a file in blocks; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            block = memoryview(bytearray(min(max(size, 1), BLOCK_BYTES)))
            while count := stream.readinto(block):
                digest.update(block[:count])
    except OSError:
        return None
    return digest.hexdigest()


def sha256_of_all(paths: Iterable[Path]) -> dict[Path, str | None]:
    """Hash each file; None for those that cannot be read."""
    return of_each_file(paths, sha256_of)
