"""A disk that is full, that may not be written, or that forgets: one line, and nothing half."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from folk.data.writer import write_shard
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import (
    UnwritableError,
    atomic_write,
    clamp_future_mtimes,
    write_json,
    write_text,
)
from folk.evidence.record.publish import publish
from folk.evidence.record.schema import read_record
from folk.evidence.results.metrics.classification import write_predictions
from folk.evidence.results.metrics.segmentation import write_confusions
from folk.evidence.results.metrics.variants import write_variants
from folk.evidence.results.stored import write_rows
from folk.models.stored import Kind, write_weights
from folk.training.checkpoint import load_checkpoint, save_checkpoint
from folk.training.history import History
from tests.faults.disk import ForgetfulDisk, full_disk, no_space, read_only_folder
from tests.faults.table import fault
from tests.toy import prepare_scenes

FULL = "No space left on device"


def _shard(path: Path) -> None:
    # More than one batch, so that a thread writes the first.
    write_shard(path, [(f"k{number}", 0, b"x" * 100, None) for number in range(3000)])


def _predictions(path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=(500, 10)).astype(np.float32)
    write_predictions(path, [f"k{n}" for n in range(500)], np.zeros(500, np.int64), logits)


def _variants(path: Path) -> None:
    with write_variants(path) as writer:
        writer.add("fog", ["a"], np.zeros(1, np.int64), np.eye(1, 5, dtype=np.float32))


WRITERS: dict[str, Callable[[Path], object]] = {
    "record.json": lambda path: write_json(path, {"outcome": "finished"}),
    "main.md": lambda path: write_text(path, "| row | top-1 |\n" * 1000),
    "cells.parquet": lambda path: write_rows(pa.table({"value": np.arange(9999.0)}), path),
    "train-00000.arrow": _shard,
    "predictions.parquet": _predictions,
    "predictions-variants.parquet": _variants,
    "confusions.parquet": lambda path: write_confusions(path, ["a"], np.ones((1, 9, 9), int)),
    "encoder.safetensors": lambda path: write_weights(
        path.parent, Kind("encoder", "pre-training"), nn.Linear(300, 300)
    ),
}


@pytest.mark.parametrize("name", WRITERS)
@fault(
    "Disk",
    "the disk is full while a record, a table, cells, a shard, predictions or weights are written",
    "refused, with the name of the file; the one before it stays whole",
    lost="the job's own work; of a training nothing, as its checkpoint stays",
)
def test_a_full_disk_leaves_the_file_before_and_names_the_new_one(name, tmp_path, monkeypatch):
    path = tmp_path / name
    WRITERS[name](path)
    before = path.read_bytes()
    with full_disk(monkeypatch), pytest.raises(UnwritableError) as refused:
        WRITERS[name](path)

    line = f"{path}: cannot be written ({FULL}); make room, then start again"
    assert str(refused.value) == line
    assert path.read_bytes() == before
    assert [left.name for left in tmp_path.iterdir()] == [name]


@fault(
    "Disk",
    "the disk is full while a checkpoint is written",
    "refused; the checkpoint before it stands",
    lost="what came after that checkpoint",
)
def test_a_full_disk_in_mid_checkpoint_is_a_refusal_too(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "a", 1, {"weight": torch.zeros(9)})
    with full_disk(monkeypatch), pytest.raises(InputError, match=rf"update 2 .* \({FULL}\)"):
        save_checkpoint(path, "a", 2, {"weight": torch.zeros(10**6)})
    found = load_checkpoint(path, "a")
    assert found is not None
    assert found[0] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


@fault(
    "Disk",
    "the disk is full while a line of metrics.jsonl is written",
    "refused, with the name of the file",
    lost="what came after the last checkpoint",
)
def test_a_history_on_a_full_disk_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    history = History(path, 0)
    history._file.close()
    history._file = Path("/dev/full").open("a")  # noqa: SIM115 - the history closes it
    with pytest.raises(UnwritableError, match=rf"metrics\.jsonl: .* \({FULL}\)"):
        history.add(1, 0.1, {"loss": 1.0})


@pytest.mark.parametrize("kind", ["file", "folder"])
@fault(
    "Disk",
    "the results lie on another disk than the growing state, and that one is full",
    "refused, with the name of the file; what was to be moved is still where it was",
)
def test_a_full_disk_of_results_takes_nothing_from_the_work_folder(kind, tmp_path, monkeypatch):
    source, target = tmp_path / "work/made", tmp_path / "out/made"
    file = source / "inner.arrow" if kind == "folder" else source
    write_text(file, "bytes")
    for name in ("replace", "rename"):
        monkeypatch.setattr(Path, name, _other_disk)
    monkeypatch.setattr(shutil, "copy2" if kind == "folder" else "copyfile", no_space)

    with pytest.raises(UnwritableError, match=rf"made.*: cannot be written \({FULL}\)"):
        publish({source: target})
    assert file.read_text() == "bytes"
    assert not target.exists()


def _other_disk(_source: Path, _target: Path) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


@pytest.mark.parametrize(
    "name", ["record.open.json", "train-00000.arrow", "manifest.parquet", "record.json"]
)
@fault(
    "Disk",
    "the disk is full at any moment of a `prepare`",
    "refused; no record stands, so nothing takes the rest for a result; with room again the same "
    "call makes the same data set",
)
def test_a_job_on_a_full_disk_ends_in_one_line_and_can_be_called_again(name, tmp_path, monkeypatch):
    with full_disk(monkeypatch, name):
        done = prepare_scenes(tmp_path / "out")
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert line.startswith("error: ")
    assert f"{name}: cannot be written ({FULL})" in line
    assert not (tmp_path / "out/record.json").exists()
    assert list(tmp_path.rglob("*.tmp")) == []

    assert prepare_scenes(tmp_path / "out").returncode == 0
    assert read_record(tmp_path / "out/record.json")["outcome"] == "finished"


@fault("Disk", "a folder that stands where a file shall be written",
       "refused: `expected a file to write, got a folder`; the folder stays as it is")  # fmt: skip
def test_a_folder_in_the_place_of_a_file_is_refused_and_kept(tmp_path):
    (tmp_path / "record.json/kept").mkdir(parents=True)

    with pytest.raises(InputError, match=r"record\.json: expected a file to write, got a folder"):
        write_json(tmp_path / "record.json", {})

    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["record.json", "kept"]


@fault(
    "Disk",
    "the folder of results may not be written",
    "refused, with the name of the file",
)
def test_a_read_only_folder_of_results_is_refused_by_name():
    reason = "(Permission denied); make it writable"
    with read_only_folder() as folder:
        for path in (folder / "record.json", folder / "pretrain/folk-s0/record.json"):
            with pytest.raises(UnwritableError) as refused:
                write_json(path, {})
            assert str(refused.value) == f"{path}: cannot be written {reason}, then start again"
        assert list(folder.iterdir()) == []


@fault(
    "Disk",
    "the file system has become read-only, as after an error of its disk",
    "refused, with the name of the file",
)
def test_a_read_only_file_system_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("folk.evidence.core.files.tempfile.mkstemp", _read_only)
    with pytest.raises(
        UnwritableError, match=r"cells\.json: .* \(Read-only file system\); make it writable"
    ):
        write_json(tmp_path / "cells.json", {})


def _read_only(**_options: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_what_cannot_be_read_is_not_told_as_what_cannot_be_written(tmp_path):
    image = tmp_path / "elsewhere/image.png"
    with pytest.raises(PermissionError, match="image"), atomic_write(tmp_path / "shard"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(image))


@fault(
    "Disk",
    "a loss of power on a file system that reorders: a name is kept, the bytes or an earlier name "
    "are not",
    "every file is flushed before it takes its name, and a record takes its own when all names "
    "that it speaks of are safe",
)
def test_a_record_is_never_safer_than_what_it_speaks_of(tmp_path, monkeypatch):
    # The diff of uncommitted code would be written, and flushed, between results and record.
    state = {"commit": None, "dirty": None, "dirty_diff_sha256": None}
    monkeypatch.setattr("folk.evidence.record.record.code_state", lambda _root: (state, None))
    disk = ForgetfulDisk(monkeypatch)
    done = prepare_scenes(tmp_path / "out")

    assert done.returncode == 0, done.stderr
    record = tmp_path / "out/record.json"
    named = {str(Path(entry["path"]).absolute()) for entry in read_record(record)["outputs"]}
    assert len(named) >= 6
    assert disk.never_flushed() == []
    unsafe = disk.unsafe_before(record)
    assert [name for name in unsafe if name.startswith(str(tmp_path / "out"))] == []


def test_a_checkpoint_is_flushed_before_it_takes_the_name_of_the_one_before(tmp_path, monkeypatch):
    disk = ForgetfulDisk(monkeypatch)
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "a", 1, {"weight": torch.zeros(9)})

    whats = [(what, which) for what, which, _ in disk.events]
    assert whats[0][0] == "flush"
    assert whats[1:] == [("name", str(path)), ("flush", str(tmp_path))]
    assert disk.never_flushed() == []


def test_a_time_stamp_ahead_of_the_clock_becomes_that_of_now(tmp_path):
    ahead, past = tmp_path / "ahead", tmp_path / "past"
    for path in (ahead, past):
        path.touch()
    now = past.stat().st_mtime
    os.utime(ahead, (now + 3600, now + 3600))

    assert clamp_future_mtimes([ahead, past, tmp_path / "missing"]) == [ahead]
    assert abs(ahead.stat().st_mtime - now) < 60
    assert past.stat().st_mtime == now
