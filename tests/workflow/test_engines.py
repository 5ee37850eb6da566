"""A queue that the executor for SLURM knows nothing of: PBS, by Snakemake's cluster-generic."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from folk.evidence.record.schema import read_record
from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.timeout(1800)

PBS = ROOT / "tests/workflow/pbs"
STATUS = ROOT / "workflow/profiles/pbs/status.sh"
RUN = "results/tiny/pretrain/folk-s0"
SHORT = "optim.epochs: 2, optim.batch: 32"
LONG = "optim.epochs: 8, runtime.checkpoint_seconds: 0.0, optim.batch: 32"
PATIENCE = 900.0  # seconds
DRIVER = (
    *("-m", "snakemake", f"{RUN}/record.json", "--configfile", "config/tiny.yaml"),
    *("--workflow-profile", "pbs", "--seconds-between-status-checks", "1", "--latency-wait", "5"),
)


@pytest.fixture
def queue(tmp_path_factory, monkeypatch) -> Iterator[Path]:
    """The folder of a PBS, with one folder for each job; none lives on after the test."""
    folder = tmp_path_factory.mktemp("queue")
    monkeypatch.setenv("FAKE_PBS", str(folder))
    monkeypatch.setenv("PATH", f"{PBS}{os.pathsep}{os.environ['PATH']}")
    yield folder
    for job in folder.iterdir():
        kill(job)


def kill(job: Path) -> None:
    """Kill all processes of a job, if there are any."""
    group = f"-{(job / 'session').read_text().strip()}"
    subprocess.run(["kill", "-KILL", "--", group], stderr=subprocess.DEVNULL, check=False)


@pytest.mark.slow
def test_a_training_that_is_killed_in_a_queue_is_submitted_again_and_goes_on(clean_copy, queue):
    clean_copy.edit("config/tiny.yaml", SHORT, LONG)
    progress = clean_copy.folder / "results/tiny/work/pretrain/folk-s0/progress.json"
    log = clean_copy.folder / "driver.log"
    environment = os.environ | {"QSUB_OPTIONS": "-A vision", "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        driver = subprocess.Popen(
            [sys.executable, *DRIVER],
            cwd=clean_copy.folder, env=environment, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        limit = time.monotonic() + PATIENCE
        while not progress.exists() and driver.poll() is None and time.monotonic() < limit:
            time.sleep(0.05)  # it is written after each checkpoint
        *_, training = sorted(queue.iterdir())
        kill(training)
        ended = driver.wait(PATIENCE)
    finally:
        driver.kill()

    assert ended == 0, log.read_text()
    assert [job.name for job in sorted(queue.iterdir())] == ["1.fake", "2.fake", "3.fake"]
    assert "continuing after update" in (clean_copy.folder / RUN / "pretrain.log").read_text()
    assert len(read_record(clean_copy.folder / RUN / "record.json")["restarts"]) == 1
    asked = "-A vision -N pretrain -j oe -o .snakemake/pbs_logs/ -l select=1:ncpus=1:mem=2000mb"
    assert (training / "call").read_text().startswith(f"{asked} -l walltime=3600 ")


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [
        ("    job_state = Q\n", 0, "running"),
        ("    job_state = E\n    Exit_status = 0\n", 0, "running"),
        ("    job_state = F\n    Exit_status = 0\n", 0, "success"),
        ("    job_state = F\n    Exit_status = 271\n", 0, "failed"),
        ("    job_state = F\n", 0, "failed"),  # deleted before it began
        ("qstat: Unknown Job Id 7.fake\n", 153, "failed"),
        ("qstat: cannot connect to server (errno=15010)\n", 255, "running"),
    ],
)
def test_what_pbs_knows_of_a_job_is_one_of_the_three_words_of_snakemake(
    tmp_path, monkeypatch, answer, status, word
):
    program = tmp_path / "qstat"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}END\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    done = subprocess.run([STATUS, "7.fake"], capture_output=True, text=True, check=True)

    assert done.stdout == f"{word}\n"
