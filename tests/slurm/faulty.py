"""One pre-training on a cluster, long enough for something to happen to it."""

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folk.evidence.core.digest import digest_file
from folk.evidence.record.schema import read_record
from folk.training.history import read_history
from tests.slurm.driver import MINUTES, start_driver
from tests.slurm.lab import Lab, wait_until
from tests.workflow.conftest import Copy

RESULT = Path("results/tiny/pretrain/folk-s0")
WORK = Path("results/tiny/work", "pretrain/folk-s0")
CHECKPOINT_SECONDS = 1
# 480 updates, which take some thirty seconds on one idle core.
SETTINGS = f"""
    set:
      optim.epochs: 120
      optim.batch: 32
      optim.warmup_epochs: 0.5
      runtime.log_every: 1
      runtime.checkpoint_seconds: {CHECKPOINT_SECONDS}
"""
SHORT = (
    "    set: {optim.epochs: 2, optim.batch: 32, optim.warmup_epochs: 0.5, runtime.log_every: 1}\n"
)


def make_it_long(copy: Copy) -> None:
    """Let the pre-training of the tiny study take long enough."""
    copy.edit("config/tiny.yaml", SHORT, SETTINGS.removeprefix("\n"))


class Training:
    """A driver, and the one job that it has on the cluster."""

    def __init__(self, lab: Lab, folder: Path, options: tuple[str, ...]) -> None:
        self.lab = lab
        self.folder = folder
        self.options = options
        self.known = set(lab.jobs())
        self.driver = self.start()

    def start(self, *more: str) -> "subprocess.Popen[str]":
        """Start the driver, again after it ended; without hooks, which want whole studies."""
        target = str(RESULT / "encoder.safetensors")
        study = ("--configfile", "config/tiny.yaml", "--no-hooks")
        self.driver = start_driver(self.lab, self.folder, target, *study, *self.options, *more)
        return self.driver

    def submitted(self) -> list[str]:
        """The ids of all jobs so far, as the cluster knows them."""
        return sorted(set(self.lab.jobs()) - self.known, key=int)

    def job(self) -> str:
        """The id of the job that runs."""
        (job,) = set(self.lab.jobs("RUNNING")) - self.known
        return job

    def node(self) -> str:
        """The node that it runs on."""
        return self.lab.run("squeue", "-h", "-o", "%N", "-j", self.job())

    def step(self) -> int:
        """How many updates the last checkpoint holds."""
        path = self.folder / WORK / "progress.json"
        return int(json.loads(path.read_text())["step"]) if path.exists() else 0

    def wait_for_step(self, least: int) -> int:
        """Wait until a checkpoint holds at least so many updates; how many it then holds."""
        wait_until(f"update {least}", lambda: self.step() >= least or self.has_ended(), 3 * MINUTES)
        assert not self.has_ended(), self.said()
        return self.step()

    def has_ended(self) -> bool:
        return self.driver.poll() is not None

    def finish(self, seconds: float = 6 * MINUTES) -> int:
        """Wait for the driver; its exit status. AssertionError: it did not end in time."""
        try:
            return self.driver.wait(seconds)
        except subprocess.TimeoutExpired:
            jobs = self.lab.run("squeue", "--states=all")
            raise AssertionError(f"no end after {seconds} s: {self.said()}\n{jobs}") from None

    def said(self) -> str:
        """The end of what the driver and the jobs have said."""
        files = [
            self.folder / "driver.log",
            *sorted(self.folder.glob(".snakemake/slurm_logs/**/*.log")),
        ]
        files.append(self.folder / RESULT / "pretrain.log")
        return "\n".join(f"== {p.name}\n{p.read_text()[-2500:]}" for p in files if p.exists())

    def record(self) -> dict[str, Any]:
        """The record of the finished training."""
        return read_record(self.folder / RESULT / "record.json")

    def digest(self) -> str:
        """The digest of the encoder."""
        return digest_file(self.folder / RESULT / "encoder.safetensors").sha256

    def history(self) -> list[dict[str, Any]]:
        """The lines of the history of the finished training."""
        return read_history(self.folder / RESULT / "metrics.jsonl")

    def without_cluster(self, *arguments: str) -> str:
        """What snakemake says when it is called on this machine for the same result."""
        study = ("--cores", "1", "--configfile", "config/tiny.yaml")
        done = Copy(self.folder).run("-m", "snakemake", *study, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def limit_file_size(self, size: int) -> None:
        """Let the trainer write no file beyond `size` bytes, as a full disk would."""
        for process in self.processes():
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, size))

    def hold(self) -> None:
        """Let the trainer stand still, so that it does not end before what is to befall it.

        SLURM looks for jobs beyond their limit every 30 s. It wakes those up that it stops.
        """
        for process in self.processes():
            os.kill(process, signal.SIGSTOP)

    def processes(self) -> list[int]:
        """The processes of the trainer: of this folder, by their command lines."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
                if b"pretrain" in words and (path / "cwd").resolve() == self.folder.resolve():
                    found.append(int(path.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
        return found


@contextmanager
def training(lab: Lab, folder: Path, *options: str) -> Iterator[Training]:
    """Start a driver in a prepared copy; whatever happens, it does not outlive the test."""
    run = Training(lab, folder, options)
    try:
        yield run
    finally:
        run.driver.kill()
        run.driver.wait()


def checkpoint_age(run: Training) -> float:
    """How old the last checkpoint is, in seconds."""
    return time.time() - (run.folder / WORK / "checkpoint.pt").stat().st_mtime
