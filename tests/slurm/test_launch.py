"""One command line for each geometry, and one clear line where there can be none."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.study.stage import Resources
from folk.slurm.geometry import Geometry
from folk.slurm.launch import in_step, outside, port

STAGE = ["pretrain", "--seed", "0"]
FOLK = ["-m", "folk", *STAGE]
TORCHRUN = ["-m", "folk.training.torchrun"]
STEP = {"SLURM_JOB_ID": "12345", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NODEID": "1"}


def test_one_process_is_started_as_it_always_was():
    assert outside(Geometry(threads=4, gpus=1), STAGE, {}) == [sys.executable, *FOLK]
    assert Geometry(threads=4).words(4) == "-m folk"
    words = "-m folk launch --nodes 1 --processes 1 --threads 4 --gpus 1 --"
    assert Geometry(threads=4, gpus=1).words(4) == words  # which chooses the GPU


@pytest.mark.parametrize("gpus", [0, 3])
def test_several_processes_of_a_node_need_no_scheduler(gpus):
    shape = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "3"]

    for variables in ({}, {"SLURM_JOB_ID": "1"}):
        command = outside(Geometry(1, 3, 2, gpus), STAGE, variables)
        assert command == [sys.executable, *TORCHRUN, *shape, *FOLK]


@pytest.mark.parametrize(("gpus", "asked"), [(0, []), (2, ["--gpus-per-node=2"])])
def test_several_nodes_start_this_launcher_once_on_each(gpus, asked):
    command = outside(Geometry(3, 2, 4, gpus), STAGE, {"SLURM_JOB_ID": "7"})

    assert command[: command.index(sys.executable)] == [
        "srun", "--kill-on-bad-exit=1", "--nodes=3", "--ntasks=3", "--ntasks-per-node=1",
        "--cpus-per-task=8", *asked,
    ]  # fmt: skip
    words = f"-m folk launch --in-step --nodes 3 --processes 2 --threads 4 --gpus {gpus} --"
    assert command[command.index(sys.executable) + 1 :] == [*words.split(), *STAGE]


def test_several_nodes_without_slurm_are_refused_in_one_line():
    with pytest.raises(
        InputError, match=r"--nodes 2: .* SLURM job .*; run the study with"
    ) as error:
        outside(Geometry(2), STAGE, {})

    assert "\n" not in str(error.value)


def test_inside_the_step_each_node_meets_the_others_at_the_first():
    def ask(command):
        if command[:3] == ["scontrol", "show", "hostnames"]:
            return {"n[1-2]": "localhost\nn2\n"}[command[3]]
        raise AssertionError(command)

    command = in_step(Geometry(2, 4), STAGE, STEP, ask)

    shape = "--nnodes 2 --nproc-per-node 4 --node-rank 1 --master-addr localhost --master-port"
    assert command == [sys.executable, *TORCHRUN, *shape.split(), str(port("12345")), *FOLK]


def test_a_node_whose_name_nobody_resolves_is_met_at_its_address():
    def ask(command):
        if command[2] == "node":
            assert command[3] == "no-such-host.invalid"
            return "NodeName=n1 Arch=x NodeAddr=10.0.0.7 NodeHostName=n1"
        return "no-such-host.invalid\nn2\n"

    command = in_step(Geometry(2), STAGE, STEP, ask)

    assert command[command.index("--master-addr") + 1] == "10.0.0.7"


def test_a_step_that_slurm_does_not_know_is_refused():
    with pytest.raises(InputError, match="SLURM_NODEID is not set"):
        in_step(Geometry(2), STAGE, {k: STEP[k] for k in list(STEP)[:2]}, lambda _: "")
    with pytest.raises(InputError, match=r"n\[1-2\]: expected 2 nodes, got no answer"):
        in_step(Geometry(2), STAGE, STEP, lambda _: None)
    with pytest.raises(InputError, match="expected 2 nodes, got 3 names"):
        in_step(Geometry(2), STAGE, STEP, lambda _: "a\nb\nc\n")


def test_ports_of_neighboring_jobs_differ_and_none_is_given_away_by_linux():
    ports = {port(str(job)) for job in range(9_990_000, 10_000_000)}

    assert len(ports) == 10_000
    assert 1024 < min(ports) <= max(ports) < 32768


def test_a_rule_asks_for_gpus_of_the_job_and_for_cores_of_a_node():
    one = Geometry.of(Resources(threads=12, gpu=8))
    assert one.resources() == {"nodes": 1, "gpu": 8, "cpus_per_task": 96}
    assert one.words(96) == "-m folk launch --nodes 1 --processes 8 --threads 12 --gpus 8 --"

    many = Geometry.of(Resources(threads=12, gpu=8, nodes=4))
    assert many.resources() == {
        "nodes": 4, "gpu": 32, "cpus_per_task": 96, "mpi": "srun", "tasks": 4, "tasks_per_gpu": 0,
    }  # fmt: skip


def test_fewer_cores_than_asked_for_are_shared_by_the_processes_of_a_node():
    geometry = Geometry(nodes=2, processes=4, threads=8)

    assert [geometry.threads_within(cores) for cores in (64, 32, 12, 3)] == [8, 8, 3, 1]


def test_the_command_becomes_the_stage_and_hands_its_status_on():
    def folk(*arguments):
        command = [sys.executable, "-m", "folk", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    through, direct = (folk(*start, "pretrain", "--bogus") for start in (["launch", "--"], []))

    assert (through.returncode, through.stderr) == (direct.returncode, direct.stderr)
    assert direct.returncode == 2
    assert "--bogus" in direct.stderr


PROGRAM = """
import os, signal, sys
rank = int(os.environ["RANK"])
if "{end}" == "refused":
    words = "split --recipe none.yaml --dataset d --out o --name n"
    sys.argv = ["folk", *words.split()]
    from folk.cli.app import main
    main()
elif rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("end", "status", "line"),
    [
        ("refused", 2, r"error: none\.yaml: no such file.*"),
        ("killed", 137, "error: process 1 was ended by SIGKILL"),
    ],
)
def test_several_processes_end_with_one_line(tmp_path, end, status, line):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(end=end))
    local = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]

    done = subprocess.run(
        [sys.executable, *TORCHRUN, *local, str(program)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip

    assert done.returncode == status
    errors = [text for text in done.stderr.splitlines() if "error" in text.lower()]
    assert len(errors) == 1, done.stderr
    assert re.fullmatch(line, errors[0])
    assert "Traceback" not in done.stderr
