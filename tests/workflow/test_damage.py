"""Every kind of file of a finished study, damaged: the audit names it and goes on to its end."""

import shutil
from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from tests.faults.table import fault
from tests.workflow.test_verify import TINY, audit, said

pytestmark = pytest.mark.slow

# No number rests on what a job said, on the mirror in MLflow and on what the workflow notes.
NOT_AUDITED = {".log", ".jsonl", ".db", ".id"}
NOT_AUDITED_NAMES = {".snakemake_timestamp", "finished"}  # of growing state


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _other(path: Path) -> None:
    path.write_bytes(b"\x00\xff not what it was")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (_cut, _other, _empty, _folder)


@fault("Bytes", "any file that a number of a finished study rests on: cut, empty, other, a folder",
       "`folk verify` goes on to its end, and names the file or refuses it by name")  # fmt: skip
def test_whatever_is_damaged_is_named(finished_copy, monkeypatch):
    monkeypatch.chdir(finished_copy.folder)
    kinds = {_kind(path): path for path in _told()}
    assert {"record.json", "predictions.parquet", "cells.parquet", ".arrow"} < set(kinds)

    unnamed = []
    for number, path in enumerate(kinds.values()):
        damage = DAMAGES[number % len(DAMAGES)]
        kept = shutil.copy2(path, "kept")
        damage(path)
        if not any(path.as_posix() in line for line in _what_is_said()):
            unnamed.append((damage.__name__, path.as_posix()))
        if path.is_dir():
            path.rmdir()
        shutil.copy2(kept, path)

    assert unnamed == []


def _kind(path: Path) -> str:
    if path.parent.parent == TINY and path.name == "record.json":
        return path.as_posix()  # of the report and of the mirror
    by_name = path.suffix in (".json", ".parquet") and path.parent.name != "metrics"
    return path.name if by_name else path.suffix


def _told() -> list[Path]:
    return sorted(
        path
        for path in TINY.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.suffix not in NOT_AUDITED
        and path.name not in NOT_AUDITED_NAMES
    )


def _what_is_said() -> list[str]:
    try:
        return said(audit())
    except InputError as error:
        return [str(error)]
