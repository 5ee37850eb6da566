"""Kills the jobs of a study at random moments, and its driver, until they have had enough.

A job is killed as `kill -9` does it, at a moment drawn over the life that it has when nobody
disturbs it. The driver is called again as a user would: `--unlock` where a lock is left.
"""

import contextlib
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq

from folk.evidence.core.digest import digest_file
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.training.history import read_history
from tests.workflow.conftest import Copy

DRIVER = ("-m", "snakemake", "--workflow-profile", "workflow/profiles/default", "--cores", "2")
STUDY = ("--configfile", "config/tiny.yaml")
LOOKING = 0.05  # seconds between two looks at the processes
# What a result holds beyond the numbers: when it was made, and how fast the machine was.
OF_THE_MOMENT = {"time", "updates_per_second", "seconds"}


@dataclass(frozen=True)
class Process:
    """A job of the study: one call of `python -m folk`."""

    pid: int
    job: str  # stage, and what else names it, such as `finetune/folk-s0/full`

    def age(self) -> float:
        """Seconds of computing so far: unlike time, they hardly depend on what else runs."""
        text = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        ticks = text.rpartition(")")[2].split()[11:13]  # the name before may hold spaces
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@dataclass
class Soak:
    """One study under attack.

    Attributes:
        copy: where it runs.
        moments: draws them.
        lives: seconds that each job computes undisturbed, by name; others are left alone.
        kills: how many each job has still to come, by name.
        driver_ends: what is done to the driver, one after another; see `_end_driver`.
        driver_lives: seconds within which a driver meets its end.
        killed: how often each job was killed.
    """

    copy: Copy
    moments: random.Random
    lives: dict[str, float]
    kills: Counter[str]
    driver_ends: list[str] = field(default_factory=list)
    driver_lives: float = 40.0
    killed: Counter[str] = field(default_factory=Counter)
    ended: list[str] = field(default_factory=list)  # drivers
    targets: tuple[str, ...] = ()

    def run(self, seconds: float) -> None:
        """Call snakemake until it finds nothing more to do.

        AssertionError: it has not come to its end within so many seconds.
        """
        limit = time.monotonic() + seconds
        while self._call(limit) != 0:
            assert time.monotonic() < limit, f"no end: {self}\n{self.said()[-6000:]}"
            if any((self.copy.folder / ".snakemake/locks").glob("*")):
                done = self.copy.run(*DRIVER, *STUDY, "--unlock")
                assert done.returncode == 0, done.stderr

    def said(self) -> str:
        """All that the drivers said."""
        return (self.copy.folder / "driver.log").read_text()

    def _call(self, limit: float) -> int:
        """Run one driver to its end and kill what is to be killed; its exit status."""
        with (self.copy.folder / "driver.log").open("a", encoding="utf-8") as log:
            driver = subprocess.Popen(
                [sys.executable, *DRIVER, *STUDY, "--retries", "2", *self.targets],
                cwd=self.copy.folder,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        began = time.monotonic()
        end = began + self.moments.uniform(0, self.driver_lives) if self.driver_ends else math.inf
        doomed: dict[Process, float] = {}  # the age that each may reach
        while driver.poll() is None:
            now = time.monotonic()
            if now > limit:
                _kill_group(driver.pid)
            elif now > end:
                self._end_driver(driver, self.driver_ends.pop(0))
                end = math.inf
            for process in processes(self.copy.folder):
                if process not in doomed:
                    life = self.lives.get(process.job, 0.0)
                    wanted = self.kills[process.job] > 0 and life > 0
                    doomed[process] = self.moments.uniform(0, life) if wanted else math.inf
                with contextlib.suppress(OSError):  # it has ended by itself
                    if process.age() >= doomed[process]:
                        os.kill(process.pid, signal.SIGKILL)
                        self.kills[process.job] -= 1
                        self.killed[process.job] += 1
                        doomed[process] = math.inf
            time.sleep(LOOKING)
        return driver.returncode

    def _end_driver(self, driver: "subprocess.Popen[bytes]", how: str) -> None:
        """`alone`: its jobs run on; `power`: everything at once; `ctrl-c`: as at a terminal."""
        self.ended.append(how)
        if how == "alone":
            driver.kill()
        elif how == "power":
            _kill_group(driver.pid)
        else:
            os.killpg(driver.pid, signal.SIGINT)


def watched(copy: Copy) -> dict[str, float]:
    """Run a study undisturbed; the seconds that each job computed, by name."""
    lives: dict[str, float] = {}
    with (copy.folder / "driver.log").open("w", encoding="utf-8") as log:
        driver = subprocess.Popen(
            [sys.executable, *DRIVER, *STUDY],
            cwd=copy.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        )
    while driver.poll() is None:
        for process in processes(copy.folder):
            with contextlib.suppress(OSError):  # it has ended
                lives[process.job] = process.age()
        time.sleep(LOOKING)
    assert driver.returncode == 0, (copy.folder / "driver.log").read_text()
    return lives


def processes(folder: Path) -> Iterator[Process]:
    """The jobs that run in a folder, whoever started them."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            if words[1:3] == ["-m", "folk"] and (entry / "cwd").readlink() == folder.resolve():
                yield Process(int(entry.name), _name_of(words[3:]))


def _name_of(words: list[str]) -> str:
    options = dict(pairwise(words))
    parts = (words[0], options.get("--name"), options.get("--evaluation"))
    return "/".join(part for part in parts if part)


def _kill_group(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def results_of(folder: Path) -> dict[str, str]:
    """Everything that a study's numbers are, by file and name: digests and values.

    Left out is what tells of the machine and the moment: times, speeds, the ids of records, and how
    many jobs were stopped, which a table says below.
    """
    found: dict[str, str] = {}
    results = folder / "results/tiny"
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        if name.startswith(("work/", "failed/", "metrics/")) or not path.is_file():
            continue
        if path.suffix in (".tex", ".md") and _is_whole(path):
            found[name] = _of_numbers(path.read_text(encoding="utf-8"))
        elif _is_whole(path):
            found[name] = digest_file(path).sha256
        elif path.name == "metrics.json":
            found |= {f"{name}: {k}": v for k, v in _numbers(json.loads(path.read_text())).items()}
        elif path.name == "metrics.jsonl":
            lines = [_numbers(line) for line in read_history(path)]
            found[name] = json.dumps(lines)
    for name in ("cells", "claims"):
        for row in pq.read_table(results / f"{name}.parquet").to_pylist():
            if row["id"] not in _SPEEDS:
                kept = {key: value for key, value in row.items() if key != "parent_ids"}
                found[f"{name}: {row['id']}"] = json.dumps(kept, default=str)
    return found


def _of_numbers(table: str) -> str:
    """A table without the ids of records, and without the line that counts what was stopped."""
    lines = [line for line in table.splitlines() if "Jobs that were interrupted: " not in line]
    return re.sub(r"\b[0-9a-f]{8}\b", "", "\n".join(lines))


def _is_whole(path: Path) -> bool:
    """Whether every byte of a file must be the same."""
    if path.parent.name == "tables":
        return not path.name.startswith("cost.")
    if path.name in ("cells.parquet", "claims.parquet"):
        return False
    return path.suffix in _WHOLE_FORMS or path.name in _WHOLE


_WHOLE_FORMS = {".safetensors", ".arrow", ".npz", ".parquet"}
_WHOLE = {"encoder.json", "classifier.json", "dataset.json", "recipe.yaml"}
_SPEEDS = {"cost/folk/speed"}


def _numbers(values: dict[str, float]) -> dict[str, str]:
    kept = values.keys() - OF_THE_MOMENT - OF_ONE_MACHINE
    return {name: repr(values[name]) for name in sorted(kept)}
