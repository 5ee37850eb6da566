"""Whoever questions a study, or renders it, needs neither torch nor DVC nor MLflow."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.slow

COMMANDS = {
    "explain": ["explain", "config/tiny.yaml", "main/folk/full"],
    "explain of a claim": ["explain", "config/tiny.yaml", "claims/rises"],
    "verify": ["verify", "config/tiny.yaml"],
    "adopt": ["adopt", "config/tiny.yaml"],
    "compare": ["compare", "results/tiny", "results/tiny"],
    "check": ["check", "results/tiny/tables/numbers.tex", "config/tiny.yaml"],
    "export as a crate": ["export", "config/tiny.yaml", "--crate", "crate"],
    "export of a cell": ["export", "config/tiny.yaml", "--json", "main/folk/full"],
    "plan": ["plan", "config/tiny.yaml"],
    "plan --power": ["plan", "config/paper.yaml", "--power", "--trials", "100"],
    "report": ["report", "config/tiny.yaml"],
    "seal": ["seal", "config/tiny.yaml"],
}
LARGEST = 1_000_000_000  # bytes


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """The folder of an environment that `make setup-core` has made."""
    folder = tmp_path_factory.mktemp("core") / "venv"
    make = ["make", "setup-core", f"CORE={folder}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def folk(core, finished_copy):
    """Call `folk` in the small environment, on a copy of the finished study."""

    def call(*arguments):
        python = core / "bin/python"
        command = [python, "-m", "folk", *arguments]
        return subprocess.run(
            command, cwd=finished_copy.folder, capture_output=True, text=True, check=False
        )

    return call


def test_the_small_environment_has_no_torch_and_is_below_one_gigabyte(core):
    packages = {path.name for path in core.glob("lib/python*/site-packages/*")}
    size = sum(p.lstat().st_size for p in core.rglob("*") if p.is_file() and not p.is_symlink())

    assert packages.isdisjoint({"torch", "timm", "torchvision", "mlflow", "dvc", "sklearn"})
    assert size < LARGEST


def test_its_lock_has_the_versions_of_the_whole_one():
    whole, core = (
        set(re.findall(r"^[^ #]+==[^ ]+", Path(name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-core.lock")
    )
    assert core < whole


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_reads_runs_in_the_small_environment(folk, command):
    done = folk(*COMMANDS[command])

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seal_without_dvc_says_that_no_bytes_were_kept(folk, finished_copy):
    for name in (".dvc", ".git"):
        (finished_copy.folder / name).mkdir()

    done = folk(*COMMANDS["seal"])

    assert done.returncode == 0, done.stderr
    assert "DVC: not installed here, so no files were kept" in done.stderr


def test_a_stage_without_torch_ends_with_one_line(folk, core):
    done = folk(
        "pretrain", "--recipe", "config/recipes/pretrain/demo-folk.yaml", "--seed", "0",
        "--dataset", "results/tiny/prepare/scenes/dataset.json", "--name", "a", "--out", "out",
    )  # fmt: skip

    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert lines[-1] == (
        f"error: {core}/bin/python has no torch; call it from the environment of `make setup`"
    )
    assert "Traceback" not in done.stderr


def test_the_exported_claim_of_a_cell_names_the_seal_that_its_chain_is_in(finished_study):
    done = finished_study.run(
        "-m", "folk", "export", "config/tiny.yaml", "--json", "main/folk/full"
    )

    assert done.returncode == 0, done.stderr
    claim = json.loads(done.stdout)
    seal = json.loads((finished_study.folder / "results/tiny/seal.json").read_text())
    assert claim["seal"]["digest"] == seal["digest"]
    assert claim["seal"]["has_chain"]
    assert {job["record"] for job in claim["chain"]} < set(seal["records"])
