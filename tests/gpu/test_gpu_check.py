"""`make gpu-check` runs on a CPU at toy size, part by part."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
# What no part but the study through snakemake may need.
ABSENT = ["snakemake", "dvc", "mlflow"]
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); import runpy;"


def check(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = WITHOUT + "runpy.run_module('tests.gpu', run_name='__main__')"
    out = ["--device", "cpu", "--tiny", "--out", str(tmp_path / "gpu.json"), *options]
    return subprocess.run(
        [sys.executable, "-c", command, *out], capture_output=True, text=True, check=False
    )


def test_all_parts_but_the_study_run_without_workflow_and_trackers(tmp_path):
    done = check(tmp_path, "--parts", "bcde")

    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert {letter: part["ok"] for letter, part in written["parts"].items()} == dict.fromkeys(
        "bcde", True
    )
    assert written["parts"]["c"]["found"]["deterministic"]["stopped and resumed"] == 0.0
    assert written["machine"]["versions"]["torch"]


def test_a_part_that_cannot_run_is_named_and_a_failing_one_fails_the_check(tmp_path):
    done = check(tmp_path, "--parts", "f", "--data", str(tmp_path))
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert done.returncode == 0
    assert written["parts"]["f"]["ok"] is None

    program = (
        "import tests.gpu.equality as e; e.FP32_TOLERANCE = -1.0; import runpy;"
        "runpy.run_module('tests.gpu', run_name='__main__')"
    )
    out = ["--device", "cpu", "--tiny", "--parts", "b", "--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(
        [sys.executable, "-c", program, *out], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    part = json.loads((tmp_path / "gpu.json").read_text())["parts"]["b"]
    assert part["ok"] is False
    assert part["error"].startswith("AssertionError")


def test_without_a_gpu_one_line_says_what_to_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu"],
        capture_output=True, text=True, check=False, env={"CUDA_VISIBLE_DEVICES": "", "PATH": ""},
    )  # fmt: skip

    assert done.returncode == 2
    assert "torch sees no GPU" in done.stderr
