"""Files inside a tar or zip archive, read in place and never unpacked.

Names inside an archive become keys, so anything but plain files with plain names is rejected.
"""

import contextlib
import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from folk.evidence.core.errors import InputError, brief

_IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# What tarfile, gzip and zipfile raise on damaged files, the last three by accident.
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted, or a compression that Python lacks
    OverflowError,
    UnicodeDecodeError,
    struct.error,
)


class Member(NamedTuple):
    """One file of an archive, readable while the archive is open.

    Members can be read in any order; in a gzipped tar everything but their own order is slow.
    """

    where: str  # archive and path inside, for an error
    name: str  # path inside
    size: int  # bytes
    open: Callable[[], IO[bytes]]

    @property
    def is_image(self) -> bool:
        """True if the file name has an image's suffix; the content is not checked."""
        return self.name.lower().endswith(_IMAGE_SUFFIXES)

    @property
    def file(self) -> str:
        """The name without folders."""
        return self.name.rpartition("/")[2]

    def read(self) -> bytes:
        """Read the whole file.

        Raises:
            InputError: it is damaged or cut short.
        """
        with _damage_named(self.where), self.open() as file:
            return file.read()


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Iterator[Member]]:
    """Open a zip, a tar or a gzipped tar, recognized by its first bytes.

    Yields:
        its files in archive order, without folders, hidden files and what macOS adds. Memory does
        not grow with their number, except for the directory of a zip.

    Raises:
        InputError: the archive is missing or damaged, or holds a link, a device or a path that
            leads out of it; also while its files are listed.
    """
    with contextlib.ExitStack() as stack:
        with _damage_named(str(path)):
            file: Any = stack.enter_context(_opened(path))
            head = file.read(4)
            file.seek(0)
            if head == b"PK\3\4":
                files = _zip_files(stack.enter_context(zipfile.ZipFile(file)), str(path))
            else:
                is_gzipped = head[:2] == b"\x1f\x8b"
                tar = stack.enter_context(gzip.open(file)) if is_gzipped else file
                files = tar_files(tar, str(path))
        yield files


def tar_files(file: Any, where: str) -> Iterator[Member]:
    """List the files of an open tar, as `open_archive` does; `where` names it in errors."""
    with _damage_named(where):
        tar: Any = tarfile.TarFile(fileobj=file)
        while (info := tar.next()) is not None:
            tar.members.clear()  # it would keep a description of every member it has seen
            name = info.name.removeprefix("./")
            if not info.isdir() and _is_wanted(name, info.isreg(), where):
                yield Member(f"{where}: {name}", name, info.size, partial(tar.extractfile, info))
        # tarfile takes a damaged header, or none at all, for the first of the two blocks of zeros
        # that end an archive.
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise InputError(f"{where}: damaged or cut short; get it again")


def _zip_files(directory: zipfile.ZipFile, where: str) -> Iterator[Member]:
    for info in directory.infolist():
        name = info.filename.removeprefix("./")
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not packed on Unix
        if not info.is_dir() and _is_wanted(name, kind in (0, stat.S_IFREG), where):
            yield Member(f"{where}: {name}", name, info.file_size, partial(directory.open, info))


def _is_wanted(name: str, is_file: bool, where: str) -> bool:
    """False for a hidden file and what macOS adds; reject what is no plain file or name."""
    parts = name.split("/")
    is_plain = is_file and name.isprintable() and "\\" not in name and ":" not in parts[0]
    if not is_plain or {"", ".", ".."} & {*parts}:
        raise InputError(
            f"{where}: {name!a} is no plain file, or leads out of the archive or is no plain path; "
            "get the official archive"
        )
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def read_unpacked(path: Path) -> bytes:
    """Read a whole file, unpacked if it is gzipped, recognized by its first bytes.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _damage_named(str(path)), _opened(path) as file:
        data: bytes = file.read()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _opened(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise InputError(f"{path}: no such archive; give the path of the official file")
    return path.open("rb")


@contextlib.contextmanager
def _damage_named(where: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise InputError(f"{where}: damaged or cut short ({brief(error)}); get it again") from error
