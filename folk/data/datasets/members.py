"""Files inside a tar or zip archive, read in place and never unpacked.

Names inside an archive become keys, so anything but plain files with plain names is rejected:
paths that lead out of the archive, links, devices.
"""

import contextlib
import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    """One file of an archive: its path inside, its size, and where its bytes begin."""

    name: str
    size: int  # bytes
    place: Any  # opaque, for the archive that made it

    @property
    def is_image(self) -> bool:
        """True if the file name has an image's suffix; the content is not checked."""
        return self.name.lower().endswith(_IMAGE_SUFFIXES)


@dataclass(frozen=True)
class Archive:
    """An open tar, gzipped tar or zip.

    Members can be read in any order; in a gzipped tar everything but their own order is slow.
    """

    where: str
    _file: Any
    _zip: zipfile.ZipFile | None = None

    def members(self) -> Iterator[Member]:
        """Yield the files in archive order; skip folders, hidden files and what macOS adds.

        Memory does not grow with their number, except for the directory of a zip.

        Raises:
            InputError: the archive is damaged, cut short, or holds anything that is not a plain
                file with a plain name.
        """
        with _damage_named(self.where):
            found = self._tar_members() if self._zip is None else self._zip_members(self._zip)
            for member in found:
                parts = member.name.split("/")
                if not any(part.startswith(".") or part == "__MACOSX" for part in parts):
                    yield member

    def read(self, member: Member) -> bytes:
        """Read the bytes of a member.

        Raises:
            InputError: the member is damaged or cut short.
        """
        with _damage_named(self.locate(member)):
            if self._zip is not None:
                return self._zip.read(member.place)
            self._file.seek(member.place)
            data: bytes = self._file.read(member.size)
        if len(data) < member.size:
            raise InputError(f"{self.where}: cut short in '{member.name}'; get it again")
        return data

    def tar_inside(self, member: Member) -> "Archive":
        """Open a tar inside this uncompressed tar, without reading it whole."""
        assert self._zip is None
        inside = _Slice(self._file, member.place, member.size)
        return Archive(self.locate(member), inside)

    def locate(self, member: Member) -> str:
        """Describe a member by archive and path, for an error."""
        return f"{self.where}: {member.name}"

    def _tar_members(self) -> Iterator[Member]:
        self._file.seek(0)
        tar: Any
        with tarfile.open(fileobj=self._file, mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # it would keep a description of every member it has seen
                if not info.isdir():
                    name = _plain_name(self.where, info.name, info.isreg())
                    yield Member(name, info.size, info.offset_data)
        # tarfile takes a damaged header, or none at all, for the first of the two blocks of zeros
        # that end an archive.
        if self._file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise InputError(f"{self.where}: damaged or cut short; get it again")

    def _zip_members(self, directory: zipfile.ZipFile) -> Iterator[Member]:
        for info in directory.infolist():
            if not info.is_dir():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not packed on Unix
                name = _plain_name(self.where, info.filename, kind in (0, stat.S_IFREG))
                yield Member(name, info.file_size, info)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip, a tar or a gzipped tar, recognized by its first bytes.

    Raises:
        InputError: the archive is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such archive; give the path of the official file")
    with contextlib.ExitStack() as stack:
        with _damage_named(str(path)):
            file: Any = stack.enter_context(path.open("rb"))
            head, directory = file.read(4), None
            if head == b"PK\3\4":
                directory = stack.enter_context(zipfile.ZipFile(file))
            elif head[:2] == b"\x1f\x8b":
                file.seek(0)
                file = stack.enter_context(gzip.open(file))
        yield Archive(str(path), file, directory)


def read_unpacked(path: Path) -> bytes:
    """Read a whole file, unpacked if it is gzipped, recognized by its first bytes.

    Raises:
        InputError: the file is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such archive; give the path of the official file")
    with _damage_named(str(path)):
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _plain_name(where: str, name: str, is_file: bool) -> str:
    """Strip `./` from a name; reject a link, a device, and what leads out of the archive."""
    parts = name.split("/")
    while len(parts) > 1 and parts[0] == ".":
        parts = parts[1:]
    odd = "\\" in name or ":" in parts[0] or not name.isprintable()
    if odd or any(part in ("", ".", "..") for part in parts):
        raise InputError(
            f"{where}: invalid name {name!a}, which leads out of the archive or is no plain path; "
            "get the official archive"
        )
    if not is_file:
        raise InputError(f"{where}: '{name}' is no plain file; get the official archive")
    return "/".join(parts)


@contextlib.contextmanager
def _damage_named(where: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise InputError(f"{where}: damaged or cut short ({brief(error)}); get it again") from error


class _Slice:
    """File view of a byte range of a shared file."""

    def __init__(self, file: Any, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def read(self, size: int) -> bytes:
        self._file.seek(self._start + self._position)
        data: bytes = self._file.read(max(0, min(size, self._size - self._position)))
        self._position += len(data)
        return data

    def seek(self, position: int) -> int:
        self._position = position
        return position

    def tell(self) -> int:
        return self._position
