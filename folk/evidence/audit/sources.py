"""Comparison of source images and archives with those that a data set was prepared from."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from folk.evidence.core.digest import sha256_of_all, sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_text

NOTE_NAME = "sources.stamp"  # in the work folder, for time stamps are those of one copy
_SHOWN = 2


def source_changes(
    record: Mapping[str, Any], folder: Path, today: Mapping[str, Path], note: Path | None
) -> Iterator[str]:
    """Yield a sentence for each way in which the sources differ from those that were read.

    Names and sizes are compared first. With `note`, a file is read only if its mtime tells that it
    may have changed, and sources that have not are noted by their names, sizes and mtimes: a touch
    costs one reading.

    Args:
        record: of the preparation.
        folder: the prepared data set.
        today: what would be read today: the path of each image by its key, or of each archive by
            its name. A missing archive is left out: results do not need it any more.
        note: file of the note, in the folder of growing state; None trusts no time stamp.
    """
    # A link that leads nowhere is no source.
    status = {name: path.stat() for name, path in today.items() if path.exists()}
    facts = sorted((name, found.st_size, found.st_mtime_ns) for name, found in status.items())
    stamp = f"{record['id']} {sha256_of_json([list(fact) for fact in facts])}\n"
    noted = note.read_text("utf-8", "replace") if note is not None and note.is_file() else ""
    if noted == stamp:
        return
    before = _as_read(record, folder, today)
    if before is None:
        return
    gone, added = before.keys() - status.keys(), status.keys() - before.keys()
    both = sorted(before.keys() & status.keys())
    other = [name for name in both if status[name].st_size != before[name][0]]
    if not (gone or added or other):
        suspects = both
        if note is not None:
            started = datetime.fromisoformat(record["started"]).timestamp()
            suspects = [name for name in both if status[name].st_mtime >= started]
            if not suspects and noted.startswith(record["id"]):
                suspects = both  # an older file has replaced one
        found_now = sha256_of_all(today[name] for name in suspects)
        other = [name for name in suspects if found_now[today[name]] != before[name][1]]
    for names, says in ((gone, "gone"), (added, "added"), (other, "changed")):
        if names:
            yield f"source files {says} since they were read: {_listed(names)}"
    if note is not None and not (gone or added or other):
        try:
            write_text(note, stamp)
        except OSError:
            return  # somebody else's results; they are read again next time


def _as_read(
    record: Mapping[str, Any], folder: Path, today: Mapping[str, Path]
) -> dict[str, tuple[int, str]] | None:
    """Size and sha256 of each source as it was read; None if that is not known any more."""
    archives = {
        name: (entry["size"], entry["sha256"])
        for entry in record["inputs"]
        if (name := entry["name"].removeprefix("archive ")) in today and name != entry["name"]
    }
    if archives:
        return archives
    from folk.evidence.results.metrics.columns import read_columns

    names = ["key", "bytes", "sha256"]
    try:
        columns = read_columns(folder / "manifest.parquet", names, what="manifest").to_pydict()
    except InputError:
        return None  # the manifest's own digest says so
    read = zip(columns["bytes"], columns["sha256"], strict=True)
    return dict(zip(columns["key"], read, strict=True))


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
