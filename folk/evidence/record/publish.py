"""Publication of finished files from the work folder to their declared paths.

A workflow deletes the declared outputs of a failed job, so nothing is written there before the
end. The record is moved last, so that all its files exist wherever a record exists.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from folk.evidence.core.files import atomic_write, flush_to_disk, writing_to


def publish(moves: Mapping[Path, Path]) -> None:
    """Move files and folders, in the order given; existing targets are replaced.

    Args:
        moves: current path (usually in the work folder) -> declared path.

    Raises:
        FileNotFoundError: a source is missing; nothing was moved.
        UnwritableError: the disk is full, or permission is missing.
    """
    for source in moves:
        if not source.exists():
            raise FileNotFoundError(f"{source}: missing, so nothing was published")
    for source, target in moves.items():
        with writing_to(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                _move_folder(source, target)
            else:
                _move_file(source, target)
    # A power loss may keep a later rename, that of the record, and lose these.
    for folder in {target.parent for target in moves.values()}:
        flush_to_disk(folder)


def _move_file(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError:  # another file system, such as a work folder on the node's disk
        with atomic_write(target) as temp:
            shutil.copyfile(source, temp)
        source.unlink()


def _move_folder(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    try:
        source.rename(target)
    except OSError:
        temp = target.with_name(f".{target.name}.incoming")
        shutil.rmtree(temp, ignore_errors=True)
        shutil.copytree(source, temp, copy_function=_copy_to_disk)
        for folder in (temp, *(path for path in temp.rglob("*") if path.is_dir())):
            flush_to_disk(folder)
        temp.rename(target)
        shutil.rmtree(source)


def _copy_to_disk(source: str, target: str) -> None:
    # The file is named here because copytree keeps only the text of errors.
    with writing_to(Path(target)):
        shutil.copy2(source, target)
        flush_to_disk(Path(target))
