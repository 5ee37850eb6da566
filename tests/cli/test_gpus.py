"""Jobs of one machine share its GPUs: each has its own, and none asks for more than there are."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from folk.cli.workflow import Jobs
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document
from folk.slurm.gpus import hold_gpus, read_gpus, visible_gpus
from tests.faults.table import fault

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0aa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1bb)
  MIG 3g.20gb     Device  0: (UUID: MIG-2cc)
  MIG 3g.20gb     Device  1: (UUID: MIG-3dd)
"""
# Holds GPUs, becomes another program as `folk launch` does, and ends when its input does.
HOLD = """
import os, sys
from folk.slurm.gpus import hold_gpus
variables = os.environ | hold_gpus(int(sys.argv[1]), os.environ)
show = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
os.execve(sys.executable, [sys.executable, "-c", show], variables)
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with one GPU and the two parts of another."""
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return program


def test_gpus_are_those_of_the_driver_or_of_the_user(machine):
    assert read_gpus(LISTED) == ["0", "MIG-2cc", "MIG-3dd"]
    assert visible_gpus({}) == ["0", "MIG-2cc", "MIG-3dd"]

    def of_user(text):
        return visible_gpus({"CUDA_VISIBLE_DEVICES": text})

    assert of_user("3, GPU-1bb") == ["3", "GPU-1bb"]
    assert (of_user("2,-1,0"), of_user(""), of_user("NoDevFiles")) == (["2"], [], [])

    machine.write_text("#!/bin/sh\nexit 9\n")  # no driver
    assert visible_gpus({}) == []


def holding(count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@fault("Processes", "several jobs with GPUs on one machine, of one study or of several",
       "each has its own or waits for one; those of a killed job are free")  # fmt: skip
def test_each_job_has_gpus_of_its_own_until_it_ends():
    first, second = holding(1), holding(2)
    taken = [job.stdout.readline().strip().split(",") for job in (first, second)]
    assert sorted([*taken[0], *taken[1]]) == ["0", "MIG-2cc", "MIG-3dd"]

    waiting = holding(2)
    assert waiting.stderr.readline() == "waiting for 2 of 3 GPUs\n"
    second.kill()
    second.wait()
    assert waiting.stdout.readline().strip().split(",") == taken[1]
    for job in (first, waiting):
        job.communicate("")


def test_slurm_and_jobs_without_gpus_are_left_alone(tmp_path):
    assert hold_gpus(0, {}) == {}
    assert hold_gpus(8, {"SLURM_JOB_ID": "1"}) == {}
    with pytest.raises(InputError, match=r"--gpus 4: this machine has 3 GPUs; lower the number"):
        hold_gpus(4, {})
    with pytest.raises(InputError, match="this machine has no GPUs"):
        hold_gpus(1, {"CUDA_VISIBLE_DEVICES": ""})
    assert not list(tmp_path.glob("folk-gpus-*"))


@fault("Config", "more GPUs or nodes than this machine has, without a cluster",
       "refused before the first job, with file, line and key")  # fmt: skip
@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("gpu: 8", r"tiny\.yaml:3: resources\.pretrain\.gpu: 8; this machine has 3 GPUs"),
        (
            "nodes: 2",
            r"tiny\.yaml:3: resources\.pretrain\.nodes: 2; this call runs jobs on one machine each",
        ),
    ],
)
def test_a_study_that_asks_for_more_than_the_machine_has_is_refused(tmp_path, asked, line):
    text = Path("tests/workflow/tiny.yaml").read_text()
    more = f"study: tiny\nresources:\n  pretrain: {{{asked}}}\nrecipes: config/recipes\n"
    study = tmp_path / "tiny.yaml"
    study.write_text(more + text.replace("study: tiny\n", ""))
    jobs = Jobs(Document(study), lambda path: path, lambda _: None)
    wildcards = SimpleNamespace(run="folk-s0")
    job = SimpleNamespace(rule=SimpleNamespace(name="pretrain"), wildcards=wildcards)

    with pytest.raises(InputError, match=line):
        jobs.refuse_unready([job], queue=None)
    if asked == "gpu: 8":  # the nodes of a queue have other GPUs than this machine
        jobs.refuse_unready([job], queue="cluster-generic")
    else:
        with pytest.raises(InputError, match=line):
            jobs.refuse_unready([job], queue="cluster-generic")
