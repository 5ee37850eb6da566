"""What may happen to a process: too little memory, Ctrl-C, a second start, a clock set back."""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from folk.cli.app import main
from folk.data.prepare import prepare_scenes
from folk.data.shards import PreparedData
from folk.provenance.record import open_record
from folk.provenance.schema import read_record
from tests.faults.table import fault

SMALL = {"num_train": 20, "num_val": 10, "num_unlabelled": 0}
TOO_MUCH = 10**15  # bytes


def call(command: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Call the command line in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["folk", *command])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def prepare(out: Path) -> list[str]:
    """A command that prepares hardly any pictures."""
    settings = [word for key, value in SMALL.items() for word in ("--set", f"scenes.{key}={value}")]
    recipe = ["--recipe", "config/recipes/prepare/demo.yaml", "--code", "c"]
    return ["prepare", *recipe, "--name", "scenes", "--out", str(out), *settings]


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
    take: Callable[[], object],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    def greedy(*_arguments: object, **_options: object) -> dict[str, float]:
        take()
        return {}

    monkeypatch.setattr("folk.tasks.prepare.run_prepare", greedy)
    status = call(prepare(tmp_path / "out"), monkeypatch)

    said = capfd.readouterr().err
    assert status == 2
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert line.startswith("error: not enough memory (")
    assert "runtime.max_batch" in line
    assert not (tmp_path / "out").exists()
    (failed,) = tmp_path.rglob("record-*.failed.json")
    assert read_record(failed)["outcome"] == "failed"


@fault(
    "Processes",
    "two `prepare` of one data set at once, as when a driver was killed and its job runs on",
    "the later one ends well; the older one cannot take its files away",
)
def test_a_second_prepare_is_not_harmed_by_the_first(tmp_path, monkeypatch):
    from folk.data import prepare as module

    real = module.encoded_png
    inner: list[dict[str, int]] = []

    def and_meanwhile(pixels: np.ndarray) -> bytes:
        monkeypatch.setattr(module, "encoded_png", real)
        inner.append(prepare_scenes(tmp_path / "a", **SMALL))
        return real(pixels)

    monkeypatch.setattr(module, "encoded_png", and_meanwhile)
    # The first one finds its folder swept, and says so; what the second has made stays.
    with pytest.raises(FileNotFoundError):
        prepare_scenes(tmp_path / "a", **SMALL)

    assert inner == [{"train": 20, "val": 10, "unlabelled": 0}]
    assert PreparedData.open(tmp_path / "a").counts["train"] == 20
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


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

    monkeypatch.setattr("folk.provenance.record.datetime", SetBack)
    fields = {"study": "s", "stage": "prepare", "run": "a", "evaluation": None, "argv": []}
    rest = {"recipe": {}, "recipe_digest": "d", "seed": None, "inputs": {}, "scale": "demo"}
    with open_record(Path("work"), **fields, **rest, code="c" * 64) as record:
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
def test_what_a_job_reads_is_never_newer_than_what_it_makes(tmp_path, capfd, monkeypatch):
    data = tmp_path / "data"
    assert call(prepare(data), monkeypatch) == 0
    ahead = datetime.now(UTC).timestamp() + 3600
    os.utime(data / "dataset.json", (ahead, ahead))
    recipe = tmp_path / "few.yaml"
    recipe.write_bytes(Path("config/recipes/split/demo-few.yaml").read_bytes())
    os.utime(recipe, (ahead, ahead))

    options = ["--dataset", str(data / "dataset.json"), "--set", "per_class=1", "--code", "c"]
    out = ["--name", "few", "--out", str(tmp_path / "few")]
    assert call(["split", "--recipe", str(recipe), *options, *out], monkeypatch) == 0

    made = (tmp_path / "few/keys.parquet").stat().st_mtime
    said = capfd.readouterr().err
    for path in (recipe, data / "dataset.json"):
        assert path.stat().st_mtime <= made
        assert f"{path}: its time stamp was ahead of the clock" in said
