"""Several nodes train what one process trains, and a signal to the job reaches all of them."""

import json
from pathlib import Path

import pytest

from folk.evidence.record.schema import read_record
from folk.training.history import read_history
from tests.slurm.driver import MINUTES, run_driver
from tests.slurm.faulty import RESULT, WORK, make_it_long, training
from tests.slurm.lab import Lab
from tests.workflow.conftest import Copy, copy_repository

pytestmark = pytest.mark.timeout(15 * MINUTES)

RESOURCES = "\nresources:\n  pretrain: {nodes: 2, processes: 2, mem_mb: 3000, runtime: 15}\n"
# Sums of another order in single precision, 1e-7, and what eight updates make of it.
TOLERANCE = 1e-5
COMPARED = ("loss", "loss/reconstruction", "loss/distillation", "grad_norm", "lr")


def spread(copy: Copy) -> Copy:
    """Let the pre-training of the tiny study ask for two nodes."""
    with (copy.folder / "config/tiny.yaml").open("a", encoding="utf-8") as study:
        study.write(RESOURCES)
    return copy


def test_two_nodes_have_the_loss_of_one_process(lab: Lab, tmp_path: Path):
    for name in ("one", "nodes"):
        (tmp_path / name).mkdir()
    one, nodes = (copy_repository(tmp_path / name) for name in ("one", "nodes"))
    target = ("--no-hooks", str(RESULT / "encoder.safetensors"))
    alone = one.snakemake(*target)
    assert alone.returncode == 0, alone.stderr
    done = run_driver(lab, spread(nodes).folder, "--configfile", "config/tiny.yaml", *target)
    assert done.returncode == 0, done.stdout[-6000:]

    histories = (read_history(copy.folder / RESULT / "metrics.jsonl") for copy in (one, nodes))
    a, b = ([line for line in lines if "loss" in line] for lines in histories)
    assert len(a) == len(b) == 8
    for left, right in zip(a, b, strict=True):
        for name in COMPARED:
            assert right[name] == pytest.approx(left[name], rel=TOLERANCE), name
    record = read_record(nodes.folder / RESULT / "record.json")
    geometry = record["geometry"]
    names = geometry.pop("node_list")
    assert geometry == {"nodes": 2, "processes": 2, "world_size": 4, "threads": 1}
    assert len(set(names)) == 2
    assert record["scheduler"]["node"] == names[0]  # the record is kept by the first of the nodes


def test_a_stop_of_the_job_reaches_the_processes_of_both_nodes(lab: Lab, tmp_path: Path):
    copy = spread(copy_repository(tmp_path))
    make_it_long(copy)
    with training(lab, copy.folder, "--retries", "0") as run:
        run.wait_for_step(5)
        job = run.job()
        lab.run("scancel", job)
        lab.wait_for_state(job, "CANCELLED")
        assert run.finish() == 1

    (failed,) = copy.folder.glob("results/tiny/failed/**/record-*.failed.json")
    record, left = (
        read_record(failed),
        json.loads((copy.folder / WORK / "progress.json").read_text()),
    )
    assert record["outcome"] == "interrupted"
    said = record["error"]["message"]
    assert said.startswith(f"stopped after update {left['step']} of ")
    assert said.endswith(": SIGTERM")
    assert record["geometry"]["world_size"] == 4
