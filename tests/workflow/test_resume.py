"""A killed pre-training ends with the very same encoder, and many processes can train one."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from folk.evidence.record.schema import read_record
from folk.training.history import read_history
from tests.faults.table import fault

pytestmark = pytest.mark.slow

RECIPE = "config/recipes/pretrain/demo-folk.yaml"
SETTINGS = ["optim.epochs=3", "optim.batch=32", "runtime.log_every=1", "optim.warmup_epochs=0.5"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data") / "scenes"
    few = ["num_train=64", "num_val=10", "num_unlabeled=128"]
    options = [word for value in few for word in ("--set", f"scenes.{value}")]
    recipe = ["--recipe", "config/recipes/prepare/demo.yaml"]
    command = ["prepare", *recipe, "--out", str(out), "--name", "scenes", *options]
    subprocess.run([sys.executable, "-m", "folk", *command], check=True, capture_output=True)
    return out / "dataset.json"


def command(dataset: Path, out: Path, **settings: object) -> list[str]:
    values = [*SETTINGS, *(f"{key.replace('__', '.')}={value}" for key, value in settings.items())]
    options = [word for value in values for word in ("--set", value)]
    return [
        "-m", "folk", "pretrain", "--recipe", RECIPE, "--dataset", str(dataset), "--out", str(out),
        "--name", "folk-s0", "--seed", "0", *options,
    ]  # fmt: skip


def digest(out: Path) -> str:
    return hashlib.sha256((out / "encoder.safetensors").read_bytes()).hexdigest()


def losses_of(out: Path) -> list[dict[str, float]]:
    return [line for line in read_history(out / "metrics.jsonl") if "loss" in line]


def finish(arguments: list[str]) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@fault(
    "Processes",
    "`kill -9` in the middle of a pre-training",
    "the next start goes on from the checkpoint and ends with the same encoder, to the bit",
    lost="what came after the last checkpoint",
)
def test_kill_9_in_the_middle_changes_nothing(dataset, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finish(command(dataset, whole))

    arguments = command(dataset, cut, runtime__checkpoint_seconds=0.0)
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    progress = cut.with_name("cut.work") / "progress.json"  # written after each checkpoint
    limit = time.monotonic() + 120
    while not progress.exists() and time.monotonic() < limit:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    said = finish(arguments)

    assert "continuing after update" in said
    assert digest(cut) == digest(whole)
    record = read_record(cut / "record.json")
    assert len(record["restarts"]) == 1
    assert record["restarts"][0]["last_step"] >= 1


def test_two_processes_train_the_encoder_that_one_would(dataset, tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finish([*launch, *command(dataset, tmp_path / "two")])
    finish(command(dataset, tmp_path / "one"))

    record = read_record(tmp_path / "two/record.json")
    assert record["outcome"] == "finished"
    assert record["metrics"]["updates"] == 18
    two, one = (losses_of(tmp_path / each) for each in ("two", "one"))
    assert len(one) == len(two)
    for left, right in zip(two, one, strict=True):
        for name in ("loss", "loss/reconstruction", "loss/distillation", "grad_norm"):
            assert left[name] == pytest.approx(right[name], rel=1e-3), name


@fault(
    "Processes",
    "a training that is stopped and goes on in more processes",
    "it goes on from the checkpoint; the same but for rounding, and the record tells of it",
)
def test_a_training_goes_on_in_another_number_of_processes(dataset, tmp_path):
    """One process is stopped and two go on: allowed, recorded, and the same but for rounding."""
    whole, moved = tmp_path / "whole", tmp_path / "moved"
    finish(command(dataset, whole))
    arguments = command(dataset, moved, runtime__checkpoint_seconds=0.0)
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    progress = moved.with_name("moved.work") / "progress.json"
    limit = time.monotonic() + 120
    while not progress.exists() and time.monotonic() < limit:
        time.sleep(0.01)
    process.terminate()
    assert process.wait() == 75, "it ended before it could be stopped"

    launched = ["-m", "folk", "launch", "--processes", "2", "--"]
    said = finish([*launched, *arguments[2:], "--threads", "2"])

    assert "continuing after update" in said
    record = read_record(moved / "record.json")
    (restart,) = record["restarts"]
    assert restart["reason"] == "interrupted"
    assert restart["why"] == f"stopped after update {restart['last_step']} of 18: SIGTERM"
    shapes = [
        (start["geometry"]["world_size"], start["geometry"]["threads"])
        for start in (restart, record)
    ]
    assert shapes == [(1, 1), (2, 2)]
    one, two = (losses_of(each) for each in (whole, moved))
    assert [line["step"] for line in two] == [line["step"] for line in one]
    for left, right in zip(one, two, strict=True):
        assert right["loss"] == pytest.approx(left["loss"], rel=1e-3)
