"""Descriptions of a job's input and output files in its record."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from folk.evidence.core.digest import FileDigest, digest_file, digest_input, digest_tree
from folk.evidence.core.errors import InputError
from folk.evidence.core.json_file import read_keys
from folk.evidence.record.schema import read_record

# A record lists a prepared data set as these files: dataset.json has the sha256 of every shard and
# the manifest that of every image, so that no job has to hash all the shards.
DATA_SET_FILES = ("dataset.json", "manifest.parquet", "keys.parquet")


def is_by_value(name: str) -> bool:
    """Return True for an input that an audit compares by its values, not by its bytes.

    A comment in a recipe or study changes the file and no result, and a record has its id.
    """
    return name.partition(" ")[0] in ("pretrain-recipe", "record", "study", "published")


def describe_inputs(inputs: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Describe each input file: name, path, size, digests, and the record that made it.

    A folder with a prepared data set or a split is listed as its describing files. Any other folder
    (raw images) is listed without digests: `prepare` puts them into its dataset.json.

    Raises:
        InputError: an input is missing.
    """
    entries: list[dict[str, Any]] = []
    for name, path in inputs.items():
        if not path.exists():
            raise InputError(f"{path}: no such file or folder (input '{name}')")
        if not path.is_dir():
            entries.append(_input(name, path))
            continue
        files = [path / file for file in DATA_SET_FILES if (path / file).is_file()]
        entries += [_input(f"{name}/{file.name}", file) for file in files]
        if not files:
            unread = {"size": None, "sha256": None, "md5": None, "record": None}
            entries.append({"name": name, "path": portable(path), **unread})
    return entries


def stamps_of(inputs: Mapping[str, Path]) -> dict[Path, tuple[int, ...]]:
    """Map each file that a job reads to inode, size and times, those of a data set's shards too.

    Files that are compared by value are left out. A file that is put back after another stood in
    its place has the old bytes and another time of its last change of state.
    """
    files: list[Path] = []
    for name, path in inputs.items():
        if is_by_value(name):
            continue
        own = [path / file for file in DATA_SET_FILES] if path.is_dir() else [path]
        files += own
        for file in own:
            if file.name == DATA_SET_FILES[0] and file.is_file():
                files += sorted((file.parent / "shards").glob("*.arrow"))
    stats = {path: path.stat() for path in files if path.is_file()}
    return {p: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for p, s in stats.items()}


def mark_replaced(
    entries: Sequence[dict[str, Any]],
    before: Mapping[Path, tuple[int, ...]],
    after: Mapping[Path, tuple[int, ...]],
) -> None:
    """Mark the inputs whose files were replaced or touched while a job ran.

    Args:
        entries: of `describe_inputs`; those of such files, or of the data set of such a shard, get
            the key `replaced`.
        before: `stamps_of` the inputs when the job started.
        after: `stamps_of` them when it ends.

    Raises:
        InputError: a file is gone or has other bytes than at the start.
    """
    known = {entry["path"]: entry for entry in entries}
    for path, stamp in before.items():
        if after.get(path) == stamp:
            continue
        if path not in after:
            raise InputError(f"{path}: removed while the job ran; restore it and run the job again")
        if path.suffix == ".arrow":
            described = path.parent.with_name(DATA_SET_FILES[0])
            entry = known[portable(described)]
            shards = read_keys(described, "run prepare again").get("shards", {})
            wanted = shards.get(path.name, {}).get("sha256")
        else:
            entry = known[portable(path)]
            wanted = entry["sha256"]
        if digest_file(path).sha256 != wanted:  # not a cached digest: times can be set
            raise InputError(f"{path}: changed while the job ran; run the job again")
        entry["replaced"] = True


def describe_outputs(
    outputs: Mapping[str, Path], moves: Mapping[Path, Path]
) -> list[dict[str, Any]]:
    """Describe each output file, under its declared path; folders are listed file by file.

    Args:
        moves: current path -> declared path; read before anything is moved.
    """
    still_at = {target: source for source, target in moves.items()}
    entries = []
    for name, declared in outputs.items():
        source = still_at.get(declared, declared)
        if source.is_dir():
            for found in digest_tree(source):
                entries.append(_entry(f"{name}/{found.path}", declared / found.path, found))
        else:
            entries.append(_entry(name, declared, digest_file(source)))
    return entries


def producer_of(path: Path, sha256: str) -> str | None:
    """Find the id of the record, next to a file or one folder up, that has it with these bytes."""
    record = _nearest_record(path)
    if record is None:
        return None
    named = {(output["path"], output["sha256"]) for output in record["outputs"]}
    return str(record["id"]) if (portable(path), sha256) in named else None


def scale_of(path: Path) -> str | None:
    """Read the scale of the study that made a file from its record; None without a record."""
    record = _nearest_record(path)
    return None if record is None else str(record["scale"])


def _nearest_record(path: Path) -> dict[str, Any] | None:
    """Find the record next to a file or one folder up."""
    for folder in (path.parent, path.parent.parent):
        if (folder / "record.json").is_file():
            return read_record(folder / "record.json")
    return None


def portable(path: Path) -> str:
    """Convert a path to its form in records: relative to the current folder if below, with `/`."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    here = Path.cwd()
    return (absolute.relative_to(here) if absolute.is_relative_to(here) else absolute).as_posix()


def _input(name: str, path: Path) -> dict[str, Any]:
    digest = digest_input(path)
    if path.name == "record.json":
        return _entry(name, path, digest) | {"record": str(read_record(path)["id"])}
    return _entry(name, path, digest) | {"record": producer_of(path, digest.sha256)}


def _entry(name: str, path: Path, digest: FileDigest) -> dict[str, Any]:
    return {
        "name": name,
        "path": portable(path),
        "size": digest.size,
        "sha256": digest.sha256,
        "md5": digest.md5,
    }
