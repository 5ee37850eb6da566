"""Inside a SLURM job a training stops by itself before its time is over, and goes on next time."""

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from folk.training.distributed import World
from folk.training.loop import Plan, StoppedError, train
from folk.training.time_limit import seconds_allowed


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(1, 30), (3, 150), (30, 1620), (60, 3240), (10080, 604200)]
)
def test_the_margin_is_a_tenth_within_bounds(minutes, seconds):
    assert seconds_allowed(minutes, {"SLURM_JOB_ID": "1"}) == seconds


def test_inside_a_longer_allocation_its_end_counts(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1000.0)
    variables = {"SLURM_JOB_ID": "1", "SLURM_JOB_END_TIME": str(1000 + 3600)}

    assert seconds_allowed(1, variables) == 3600 - 360


def test_an_older_slurm_is_asked_for_the_end_of_the_allocation(tmp_path, monkeypatch):
    squeue = tmp_path / "squeue"
    end = datetime.fromtimestamp(1000 + 7200).isoformat()
    squeue.write_text(f"#!/bin/sh\necho CLUSTER: here\necho {end}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr("time.time", lambda: 1000.0)

    assert seconds_allowed(1, {"SLURM_JOB_ID": "1"}) == 7200 - 600


def test_outside_slurm_or_without_a_limit_there_is_no_end():
    assert seconds_allowed(30, {}) == math.inf
    assert seconds_allowed(None, {"SLURM_JOB_ID": "1"}) == math.inf


def test_a_training_stops_when_its_time_is_over_and_goes_on(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    model = nn.Linear(1, 1)
    made: list[int] = []

    def batches(start: int) -> Iterator[Tensor]:
        while True:
            yield torch.ones(1, 1)

    def update(step: int, batch: Tensor) -> dict[str, Tensor]:
        made.append(step)
        clock[0] += 60.0  # an update takes a minute
        return {"loss": model(batch).detach().sum()}

    def run(work: Path) -> None:
        # Ten minutes of a job, nine of them for updates.
        deadline = clock[0] + seconds_allowed(10, {"SLURM_JOB_ID": "1"})
        world = World(0, 1, torch.device("cpu"), deadline)
        plan = Plan(work, "a", 20, 20, 5, 1e9, lambda _step, _values: None)
        train(plan, world, {"model": model}, batches, update)

    for end in (9, 18):
        with pytest.raises(StoppedError) as stopped:
            run(tmp_path)
        assert stopped.value.code == 75
        assert str(stopped.value) == f"stopped after update {end} of 20: the time limit is near"
    run(tmp_path)

    assert made == list(range(20))
