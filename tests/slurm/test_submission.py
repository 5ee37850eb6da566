"""What sbatch is told of every rule: GPUs, nodes, time, memory, partition and account."""

import shlex
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from tests.slurm.fake_slurm import FakeSlurm
from tests.workflow.conftest import ROOT, Copy, copy_repository

pytestmark = pytest.mark.slow

SITE = """\
account: vision
cpu: {partition: cpu, qos: normal}
gpu:
  partition: gpu
  gpu_model: a100
  constraint: "a100&nvlink"
  longest_runtime: 1-00:00:00
  extra: --mail-type=FAIL
"""
DAY = 1440


def submitted(copy: Copy, slurm: FakeSlurm, study: str, *options: str) -> dict[str, list[str]]:
    """The arguments of sbatch for one job of each rule."""
    done = copy.run(
        str(ROOT / "tests/slurm/submit_one_of_each.py"),
        *("--workflow-profile", "workflow/profiles/slurm", "--configfile", study),
        *("--quiet", "reason", "--no-hooks", "--nolock", *options),
        PATH=f"{slurm.folder}:{Path(sys.executable).parent}:/usr/bin:/bin",
    )
    calls = slurm.calls("sbatch")
    assert calls, done.stdout + done.stderr
    return {value(call, "--comment").removeprefix("rule_").split("_")[0]: call for call in calls}


def value(call: list[str], option: str) -> str:
    """The value of an option, as `--option value` or as `--option=value`."""
    glued = [word.partition("=")[2] for word in call if word.startswith(f"{option}=")]
    return glued[0] if glued else call[call.index(option) + 1]


def flags(call: list[str]) -> set[str]:
    """The names of all options but those of the wrapped command."""
    return {word.partition("=")[0] for word in call if word.startswith("-")}


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    return FakeSlurm(tmp_path / "slurm")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    folder = tmp_path / "copy"
    folder.mkdir()
    made = copy_repository(folder)
    (folder / "config/cluster.yaml").write_text(SITE, encoding="utf-8")
    return made


def test_every_rule_of_the_paper_study_asks_for_what_it_needs(copy: Copy, slurm: FakeSlurm):
    calls = submitted(copy, slurm, "config/paper.yaml")

    on_gpus = {"pretrain", "finetune", "segment", "probe", "robustness", "cost"}
    assert set(calls) == {"prepare", *on_gpus}  # and nothing that takes seconds
    asked = {
        rule: (value(call, "-t"), value(call, "--mem"), value(call, "--cpus-per-task"))
        for rule, call in calls.items()
    }
    day = str(DAY)
    assert asked == {
        "prepare": ("720", "16000", "16"),
        "pretrain": (day, "500000", "96"),  # 7 days in the study: goes on after each day
        "finetune": (day, "500000", "96"),
        "segment": (day, "500000", "96"),
        "probe": (day, "64000", "12"),
        "robustness": (day, "64000", "12"),
        "cost": ("60", "64000", "12"),
    }
    for rule, call in calls.items():
        assert value(call, "-A") == "vision"
        assert value(call, "-p") == ("gpu" if rule in on_gpus else "cpu")
        assert value(call, "--output").endswith("%j.log")
        assert "--ntasks-per-gpu" not in flags(call)  # it would start the job once for each GPU
    for rule in on_gpus:
        eight = rule in ("pretrain", "finetune", "segment")
        assert value(calls[rule], "--gpus") == f"a100:{8 if eight else 1}"
        assert value(calls[rule], "-C") == "a100&nvlink"
        assert "--mail-type=FAIL" in calls[rule]
        # Else SLURM may spread the GPUs of one job over nodes, of which torchrun would see one.
        assert not eight or value(calls[rule], "--nodes") == "1"
    assert value(calls["prepare"], "--qos") == "normal"
    assert not {"--gpus", "--gres", "-C"} & flags(calls["prepare"])


def test_two_nodes_with_gpus_are_asked_for_as_two_tasks(copy: Copy, slurm: FakeSlurm):
    old = "pretrain: {threads: 12, gpu: 8, mem_mb: 500000, runtime: 10080}"
    copy.edit("config/paper.yaml", old, old.replace("gpu: 8", "gpu: 8, nodes: 2"))

    target = "results/paper/pretrain/folk-vitb-s0/encoder.safetensors"
    call = submitted(copy, slurm, "config/paper.yaml", target)["pretrain"]

    assert value(call, "--nodes") == "2"
    assert value(call, "--ntasks") == "2"
    assert value(call, "--gpus") == "a100:16"  # SLURM counts them for the whole job
    assert value(call, "--cpus-per-task") == "96"
    assert value(call, "--mem") == "500000"  # of each node
    assert "--ntasks-per-gpu" not in flags(call)


def test_what_a_job_was_submitted_with_is_what_it_sees_on_its_node(copy: Copy, slurm: FakeSlurm):
    site = SITE.replace("qos: normal", "longest_runtime: 20")
    (copy.folder / "config/cluster.yaml").write_text(site, encoding="utf-8")

    own = ("--set-resources", "pretrain:slurm_partition=debug")
    calls = submitted(copy, slurm, "config/demo.yaml", *own)

    assert value(calls["prepare"], "-p") == "cpu"
    assert value(calls["pretrain"], "-p") == "debug"  # the command line has the last word
    assert value(calls["pretrain"], "-t") == "20"  # 30 in the study
    *_, told = value(calls["pretrain"], "--wrap").partition("--set-resources")
    said = {
        b64decode(word.removeprefix("base64//")).decode()
        for word in told.rpartition("--set-resources")[2].split()  # of several the last one counts
    }
    assert {"pretrain:runtime=20", "pretrain:slurm_partition='debug'", "pretrain:gpu=0"} <= said
    assert "pretrain:tmpdir=system_tmpdir" in said  # its node has another


def test_the_executor_of_the_plugin_asks_for_the_same(copy: Copy, slurm: FakeSlurm):
    ours = submitted(copy, slurm, "config/demo.yaml")
    (slurm.folder / "sbatch.calls").unlink()
    others = submitted(copy, slurm, "config/demo.yaml", "--executor", "slurm")

    # Last comes the wrapped command; the run's id and the folder of logs are each executor's own.
    differ = ("--job-name", "--output")
    asked, wanted = (
        {
            rule: [word for word in call[:-1] if word not in {value(call, o) for o in differ}]
            for rule, call in calls.items()
        }
        for calls in (others, ours)
    )
    assert asked == wanted


def test_a_job_is_told_the_config_of_its_driver(copy: Copy, slurm: FakeSlurm):
    given = "splits={few: {set: {per_class: 3}}}"

    call = submitted(copy, slurm, "config/demo.yaml", "--config", given)["pretrain"]

    words = shlex.split(value(call, "--wrap"))
    (file,) = (words[at + 1] for at, word in enumerate(words) if word == "--configfiles")
    assert file == str(copy.folder / "config/demo.yaml")
    assert words[words.index("--config") + 1] == given


def test_without_a_site_file_slurm_decides(copy: Copy, slurm: FakeSlurm):
    (copy.folder / "config/cluster.yaml").unlink()
    slurm.says("sinfo", "PARTITION\ncpu*\ngpu\n")

    call = submitted(copy, slurm, "config/demo.yaml")["pretrain"]

    assert value(call, "-t") == "30"
    assert value(call, "-p") == "cpu"  # the one with the star
    assert not {"-A", "-C", "--qos"} & flags(call)
