"""A queue that the executor for SLURM knows nothing of: PBS, by Snakemake's cluster-generic."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from folk.evidence.record.schema import read_record
from tests.workflow.conftest import ROOT, Copy

pytestmark = pytest.mark.timeout(1800)

PBS = ROOT / "tests/workflow/pbs"
STATUS = ROOT / "workflow/profiles/pbs/status.sh"
RUN = "results/tiny/pretrain/folk-s0"
SHORT = "optim.epochs: 2, optim.batch: 32"
LONG = "optim.epochs: 16, runtime.checkpoint_seconds: 0.0, optim.batch: 32"
PATIENCE = 900.0  # seconds


class Driver:
    """A snakemake that submits what leads to one encoder."""

    def __init__(self, copy: Copy, log: str) -> None:
        self.log = copy.folder / log
        command = [
            *("-m", "snakemake", f"{RUN}/record.json", "--configfile", "config/tiny.yaml"),
            *("--workflow-profile", "pbs", "--seconds-between-status-checks", "1"),
            *("--latency-wait", "5"),
        ]
        environment = os.environ | {"QSUB_OPTIONS": "-A vision", "OMP_NUM_THREADS": "1"}
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=copy.folder, env=environment, stdout=file, stderr=file,
            )  # fmt: skip

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait until something is so, as long as the driver lives."""
        limit = time.monotonic() + PATIENCE
        while not is_there():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            time.sleep(0.05)


@pytest.fixture
def queue(tmp_path_factory, monkeypatch) -> Path:
    """The folder of a PBS, with one folder for each job."""
    folder = tmp_path_factory.mktemp("queue")
    monkeypatch.setenv("FAKE_PBS", str(folder))
    monkeypatch.setenv("PATH", f"{PBS}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def start(clean_copy: Copy, queue: Path) -> Iterator[Callable[[str], Driver]]:
    """Start drivers, none of which lives on after the test, and no job."""
    started: list[Driver] = []

    def driver(log: str) -> Driver:
        started.append(Driver(clean_copy, log))
        return started[-1]

    yield driver
    for each in started:
        each.process.kill()
        each.process.wait()
    for job in queue.iterdir():
        signal_job(job, signal.SIGKILL)


def signal_job(job: Path, number: int) -> None:
    """Send a signal to all processes of a job, if there are any."""
    group = f"-{(job / 'session').read_text().strip()}"
    subprocess.run(["kill", f"-{number}", "--", group], stderr=subprocess.DEVNULL, check=False)


@pytest.mark.slow
def test_a_training_in_a_queue_survives_its_driver_and_its_own_death(clean_copy, queue, start):
    clean_copy.edit("config/tiny.yaml", SHORT, LONG)
    progress = clean_copy.folder / "results/tiny/work/pretrain/folk-s0/progress.json"
    first = start("first.log")
    first.wait_for(progress.exists)  # written after each checkpoint
    prepared, training = sorted(queue.iterdir())
    signal_job(training, signal.SIGSTOP)  # so that it is still there when the next driver comes
    first.process.kill()

    unlocked = clean_copy.snakemake("--unlock")
    assert unlocked.returncode == 0, unlocked.stderr
    second = start("second.log")
    second.wait_for(lambda: f"external jobid '{training.name}'" in second.log.read_text())
    assert sorted(queue.iterdir()) == [prepared, training]  # not submitted again
    signal_job(training, signal.SIGKILL)

    assert second.process.wait(PATIENCE) == 0, second.log.read_text()
    assert len(list(queue.iterdir())) == 3
    assert "continuing after update" in (clean_copy.folder / RUN / "pretrain.log").read_text()
    assert len(read_record(clean_copy.folder / RUN / "record.json")["restarts"]) == 1
    options = "-A vision -N pretrain -j oe -o .snakemake/pbs_logs/ -l select=1:ncpus=1:mem=2000mb"
    assert (training / "call").read_text().startswith(f"{options} -l walltime=3600 ")


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
