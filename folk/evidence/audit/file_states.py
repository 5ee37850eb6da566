"""Comparison of files with records; each file is read once."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from folk.evidence.audit.explanation import FileState
from folk.evidence.core.digest import sha256_of_all

Reading = Literal["all", "small", "none"]
LARGE_BYTES = 16_000_000


def held_elsewhere(results: Path) -> Callable[[Path], bool]:
    """Return a test for the files that a study in git leaves out, such as its encoders.

    Args:
        results: the study's folder; the names in its `.gitignore`, such as `*.safetensors`, are
            left out.
    """
    try:
        lines = (results / ".gitignore").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    names = [line for line in lines if line and "/" not in line and line[0] not in "#!"]
    return lambda path: (
        results in path.parents and any(fnmatch.fnmatchcase(path.name, name) for name in names)
    )


class FileStates:
    """Comparison of entries of records with their files.

    Args:
        root: the base folder of recorded paths.
        results: the study's folder below it.
        reading: which files are hashed: all, those below 16 MB, or none. Of the others only the
            size is compared.
    """

    def __init__(self, root: Path, results: Path, reading: Reading) -> None:
        self.root = root
        self._held_elsewhere = held_elsewhere(root / results)
        self.reading = reading
        self._sha256: dict[Path, str | None] = {}

    def read(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Hash the files of all these entries, on all cores."""
        paths = {self.root / entry["path"] for entry in entries if self._to_read(entry)}
        self._sha256 |= sha256_of_all(path for path in paths if path not in self._sha256)

    def to_read(self, entries: Iterable[Mapping[str, Any]]) -> int:
        """Count the bytes that `read` would hash for these entries."""
        sizes = {e["path"]: e["size"] for e in entries if self._to_read(e)}
        return sum(size for path, size in sizes.items() if self.root / path not in self._sha256)

    def state(self, entry: Mapping[str, Any]) -> FileState:
        """Return whether the file of an entry exists and matches its record."""
        path = self.root / entry["path"]
        if entry["sha256"] is None:
            return "no digest"
        if not path.is_file():
            return "elsewhere" if self._held_elsewhere(path) else "missing"
        if path.stat().st_size != entry["size"]:
            return "other"
        if not self._to_read(entry):
            return "not read"
        if path not in self._sha256:
            self.read([entry])
        return "same" if self._sha256[path] == entry["sha256"] else "other"

    def _to_read(self, entry: Mapping[str, Any]) -> bool:
        if entry["sha256"] is None or self.reading == "none":
            return False
        path = self.root / entry["path"]
        if not path.is_file() or path.stat().st_size != entry["size"]:
            return False
        return self.reading == "all" or entry["size"] < LARGE_BYTES
