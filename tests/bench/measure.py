"""How things are compared: in turns, in one call, so that whatever else runs slows both alike."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from typing import Any, Literal, TypeVar

Unit = Literal["s", "MiB", "GB/s", "TFLOP/s", "img/s", "share", "GPU-h"]
Measured = TypeVar("Measured")
LIBRARIES = ("torch", "torchvision", "timm", "snakemake", "numpy")


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, against what, and what is to be reached.

    Attributes:
        name: what was measured.
        against: the baseline in words; empty where a row has none and `reach` is absolute.
        unit: of `ours` and `baseline`.
        ours: of each round.
        baseline: of each round.
        reach: of the ratio ours / baseline, or of `ours` alone; None where nothing was promised.
        at_least: whether more is better.
        note: what a reader must know beside the numbers.
    """

    name: str
    against: str
    unit: Unit
    ours: list[float]
    baseline: list[float] = field(default_factory=list)
    reach: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def figure(self) -> float:
        """What `reach` speaks of: the median over rounds of the ratio, or of our value."""
        if not self.baseline:
            return statistics.median(self.ours)
        pairs = zip(self.ours, self.baseline, strict=True)
        return statistics.median(mine / other for mine, other in pairs)

    @property
    def reached(self) -> bool | None:
        """None where nothing was promised."""
        if self.reach is None:
            return None
        return self.figure >= self.reach if self.at_least else self.figure <= self.reach

    def as_json(self) -> dict[str, Any]:
        """Everything, with least, median and largest of each side."""
        said = asdict(self) | {"figure": self.figure, "reached": self.reached}
        for side in ("ours", "baseline"):
            if values := said[side]:
                said[f"{side}_spread"] = [min(values), statistics.median(values), max(values)]
        return said


@dataclass(frozen=True)
class Skipped:
    """A row that cannot be measured here, and why."""

    name: str
    why: str


def in_turns(
    ours: Callable[[], Measured], baseline: Callable[[], Measured], rounds: int
) -> tuple[list[Measured], list[Measured]]:
    """Measure both once for nothing, then ours, baseline, ours, baseline, ..."""
    ours()
    baseline()
    pairs = [(ours(), baseline()) for _ in range(rounds)]
    return [mine for mine, _ in pairs], [other for _, other in pairs]


def in_a_process(function: Callable[..., Any], *values: Any) -> Any:
    """What a function gives in a new process, which leaves nothing of it in this one."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, values)


def seconds(work: Callable[[], object]) -> Callable[[], float]:
    """A measurement of the wall-clock seconds of some work on the CPU."""

    def measured() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return measured


def cpu_seconds(work: Callable[[], object]) -> Callable[[], float]:
    """A measurement of the CPU seconds of some work, with the processes it starts and ends."""

    def measured() -> float:
        start = os.times()
        work()
        return sum(os.times()[:4]) - sum(start[:4])

    return measured


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load of the last minute, versions and commit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in LIBRARIES},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
