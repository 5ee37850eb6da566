"""Disks that fail on purpose: full, read-only, and one that forgets what was not flushed."""

import errno
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[None]:
    """Let the disk be full for files of these names, or for all.

    What is written goes to /dev/full, of which the kernel says that no space is left.
    """
    real = tempfile.mkstemp

    def on_a_full_disk(*, prefix: str, suffix: str, dir: Path) -> tuple[int, str]:
        handle, path = real(prefix=prefix, suffix=suffix, dir=dir)
        if not names or any(prefix == f".{name}." for name in names):
            Path(path).unlink()
            Path(path).symlink_to("/dev/full")
        return handle, path

    with monkeypatch.context() as patch:
        patch.setattr("folk.evidence.core.files.tempfile.mkstemp", on_a_full_disk)
        yield


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, which is what a full disk looks like to sqlite."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder that may be read and not written, by root neither: for the time root is nobody."""
    folder = Path(tempfile.mkdtemp(prefix="folk-read-only-"))
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(NOBODY)
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


class ForgetfulDisk:
    """Keeps account of what a machine would find after losing power, file by file.

    A file's content is safe once it was flushed after its last change; a name once the folder was
    flushed after it was given. `record.json` may be safe before the names that it speaks of only
    where those are safe too: a file system may keep any of them and forget the others.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str, str]] = []  # what, which, from where
        for name in ("replace", "rename"):
            monkeypatch.setattr(os, name, self._renaming(getattr(os, name)))
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            fsync(descriptor)
            self.events.append(("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink()), ""))

        monkeypatch.setattr(os, "fsync", noted)

    def _renaming(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def renamed(source: Any, target: Any, **options: Any) -> None:
            real(source, target, **options)
            places = [str(Path(os.fspath(path)).absolute()) for path in (target, source)]
            self.events.append(("name", *places))

        return renamed

    def unsafe_before(self, last: Path) -> list[str]:
        """Names given before `last` that a loss of power could take while `last` stays."""
        given = next(
            number
            for number, (what, path, _) in enumerate(self.events)
            if what == "name" and path == str(last.absolute())
        )
        lost: list[str] = []
        for what, path, source in self.events[:given]:
            if what == "name":
                lost = [name for name in lost if name != source] + [path]
            else:
                lost = [name for name in lost if os.path.dirname(name) != path]  # noqa: PTH120
        return lost

    def never_flushed(self) -> list[str]:
        """Files that took their name without having been flushed before."""
        flushed: set[str] = set()
        bad = []
        for what, path, source in self.events:
            if what == "flush" or source in flushed:
                flushed.add(path)
            elif not Path(path).is_dir():
                bad.append(path)
        return bad


def no_space(*_arguments: object, **_options: object) -> None:
    """What stands in for a call that meets a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
