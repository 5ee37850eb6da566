"""What may happen to a process: too little memory, Ctrl-C, a second start, a clock set back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from folk.data.datasets import scenes
from folk.data.shards import PreparedData
from folk.evidence.core.errors import InputError
from folk.evidence.record.schema import read_record
from folk.slurm import study_lock
from tests.faults.table import fault
from tests.toy import folk, opened, prepare_scenes
from tests.workflow.conftest import ROOT

TOO_MUCH = 10**15  # bytes


@pytest.mark.parametrize(
    "take", [lambda: np.empty(TOO_MUCH), lambda: torch.empty(TOO_MUCH)], ids=["numpy", "torch"]
)
@fault(
    "Processes",
    "too little memory",
    "one line that says how much was asked for and what asks for less, status 2",
    lost="what came after the last checkpoint",
)
def test_too_little_memory_is_told_in_one_line(
    take: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def greedy(*_arguments: object, **_options: object) -> dict[str, float]:
        take()
        return {}

    monkeypatch.setattr("folk.stages.tasks.prepare.run_prepare", greedy)
    done = prepare_scenes(tmp_path / "out")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: not enough memory (")
    assert "runtime.max_batch" in line
    assert not (tmp_path / "out").exists()
    (failed,) = tmp_path.rglob("record-*.failed.json")
    assert read_record(failed)["outcome"] == "failed"


@fault(
    "Processes",
    "Ctrl-C in a job that saves nothing but whole shards on its way",
    "one word and status 130; its record says that it was interrupted; no half data set is left",
    lost="the job's own work, of a `prepare` the shard that was being written",
)
def test_ctrl_c_is_recorded_and_leaves_nothing_half(tmp_path, monkeypatch, hears_ctrl_c):
    whole = scenes.compose_scenes

    def interrupted(**values: object) -> Iterator[scenes.Scene]:
        for number, scene in enumerate(whole(**values)):
            if number == 5:
                os.kill(os.getpid(), signal.SIGINT)
            yield scene

    with monkeypatch.context() as patch:
        patch.setattr(scenes, "compose_scenes", interrupted)
        done = prepare_scenes(tmp_path / "out")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    (failed,) = tmp_path.rglob("record-*.failed.json")
    assert read_record(failed)["outcome"] == "interrupted"
    assert not (tmp_path / "out").exists()
    left = {path.name for path in (tmp_path / "out.work").iterdir()}
    diff = failed.with_suffix(".diff").name  # where code is not committed
    assert left - {diff} == {failed.name, "record.open.json", "partial"}

    assert prepare_scenes(tmp_path / "out").returncode == 0
    assert read_record(tmp_path / "out/record.json")["restarts"][0]["reason"] == "interrupted"


@pytest.mark.parametrize("scene", [0, 5, 29])
@fault(
    "Processes",
    "two starts of one `prepare` at once, as when a driver was killed and its job runs on",
    "the older one leaves with status 75; the later one ends well, and its data set stands",
)
def test_of_two_starts_of_one_job_the_older_one_leaves(scene, tmp_path, monkeypatch):
    real, out = scenes.compose_scenes, tmp_path / "out"
    later = []

    def and_meanwhile(**values: object) -> Iterator[scenes.Scene]:
        for number, each in enumerate(real(**values)):
            if number == scene:
                monkeypatch.setattr(scenes, "compose_scenes", real)
                later.append(prepare_scenes(out).returncode)
            yield each

    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0})  # 4 images ahead
    monkeypatch.setattr(scenes, "compose_scenes", and_meanwhile)
    done = prepare_scenes(out)

    assert (done.returncode, later) == (75, [0])
    assert "Traceback" not in done.stderr
    assert PreparedData.open(out).counts["train"] == 20
    (older,) = tmp_path.rglob("record-*.failed.json")
    assert read_record(older)["error"]["type"] == "SupersededError"
    record = read_record(out / "record.json")
    assert record["metrics"]["num_train"] == 20
    assert not list(tmp_path.rglob("*.tmp"))


@fault(
    "Processes",
    "the clock is set back while a job runs",
    "its record never ends before it began",
)
def test_a_record_does_not_end_before_it_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = datetime

    class SetBack(datetime):
        ahead = timedelta(hours=1)

        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + cls.ahead

    monkeypatch.setattr("folk.evidence.record.record.datetime", SetBack)
    with opened("prepare", "a") as record:
        SetBack.ahead = timedelta(0)
        record.finish({}, {}, Path("out/record.json"))

    found = read_record(Path("out/record.json"))
    assert found["ended"] == found["started"] > real.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert found["seconds"] == 0


@fault(
    "Processes",
    "a result whose time stamp is ahead of the clock, as after the clock was set back",
    "the job that reads it gives it the time of now; Snakemake would throw what it made away",
)
def test_what_a_job_reads_is_never_newer_than_what_it_makes(tmp_path):
    data = tmp_path / "data"
    assert prepare_scenes(data).returncode == 0
    ahead = datetime.now(UTC).timestamp() + 3600
    os.utime(data / "dataset.json", (ahead, ahead))
    recipe = tmp_path / "few.yaml"
    recipe.write_bytes(Path("config/recipes/split/demo-few.yaml").read_bytes())
    os.utime(recipe, (ahead, ahead))

    options = ["--dataset", data / "dataset.json", "--set", "per_class=1", "--code", "c"]
    done = folk("split", "--recipe", recipe, *options, "--name", "few", "--out", tmp_path / "few")
    assert done.returncode == 0

    made = (tmp_path / "few/keys.parquet").stat().st_mtime
    for path in (recipe, data / "dataset.json"):
        assert path.stat().st_mtime <= made
        assert f"{path}: its mtime was ahead of the clock" in done.stderr


@fault(
    "Processes",
    "a driver that was killed, and a lock of ours that it has left",
    "the system has taken the lock away with the process; the next call begins",
)
def test_a_study_is_held_by_one_driver_and_only_while_it_lives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hold = "from folk.slurm.study_lock import hold_study; hold_study('tiny'); input()"
    command = [sys.executable, "-c", hold]
    root = {**os.environ, "PYTHONPATH": str(ROOT)}
    other = subprocess.Popen(command, stdin=subprocess.PIPE, env=root)
    lock = tmp_path / study_lock.LOCKS / "tiny.lock"
    limit = time.monotonic() + 60
    while not (lock.exists() and lock.read_text().endswith("\n")) and time.monotonic() < limit:
        time.sleep(0.01)
    with pytest.raises(InputError, match=rf"tiny: another call .*\(process {other.pid} on .*wait"):
        study_lock.hold_study("tiny")
    study_lock.hold_study("other")

    other.kill()
    other.wait()
    study_lock.hold_study("tiny")
    assert lock.read_text().startswith(f"process {os.getpid()} on ")
