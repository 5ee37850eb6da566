"""Programs of others next to ours: their packages in a folder, and each side in a process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import active_children, get_context, set_start_method
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.bench.measure import Row, Skipped, in_turns

# No module of `folk` is imported above: a peer may bring another version of timm.

FOLDER = Path("build/peers")
BATCH = 4  # both sides of a step are in memory at once, and a step takes seconds

Work = Callable[[], object]


class Cost(NamedTuple):
    """Seconds of one turn, of the cores and by the clock, loading processes included."""

    cpu: float
    wall: float


def install(row: str, *packages: str) -> Path | Skipped:
    """Return the folder of pinned packages, filled at the first call; `row` needs them.

    What they depend on is this environment's, torch above all, so that both sides compute with the
    same one. Put the folder on `sys.path` of a process of its own.
    """
    folder = (FOLDER / packages[0].replace("==", "-")).resolve()
    if folder.is_dir():
        return folder
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        new = Path(name) / "packages"
        options = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--no-deps"]
        command = [sys.executable, "-m", "pip", "install", *options, "--target", new, *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = [line for line in done.stderr.splitlines() if line.strip()][-1]
            return Skipped(row, f"pip install {' '.join(packages)}: {last}")
        new.rename(folder)
    return folder


@contextmanager
def process(
    make: Callable[..., AbstractContextManager[Work]], *values: Any
) -> Iterator[Callable[[], Cost]]:
    """Give a function that has a new process, where `make` made it, do some work on one thread."""
    context = get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_serve, args=(there, make, values))
    child.start()
    there.close()  # the child's copy remains: if it dies, `recv` ends

    def measured() -> Cost:
        here.send(None)
        cost: Cost = here.recv()
        return cost

    try:
        yield measured
    finally:
        here.close()
        child.join()


def rows_of(
    name: str,
    against: str,
    ours: Callable[[], Cost],
    theirs: Callable[[], Cost],
    rounds: int,
    note: str,
) -> list[Row]:
    """Measure two sides in turns; a row of CPU time and one of wall time, of the same turns."""
    both = (zip(*costs, strict=True) for costs in in_turns(ours, theirs, rounds))
    return [
        Row(f"{name}: {clock} time", against, "s", [*mine], [*other], note=note)
        for clock, mine, other in zip(Cost._fields, *both, strict=True)
    ]


@contextmanager
def our_step(recipe: str) -> Iterator[Work]:
    """An update of a recipe of ours, as a training makes it, in float32."""
    from folk.training.distributed import open_world
    from tests.gpu.updates import Updates

    with open_world(1) as world:
        yield Updates(recipe, BATCH, world.device, {"optim.precision": "fp32"})


def _serve(pipe: Connection, make: Callable[..., Any], values: tuple[Any, ...]) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # peers are compared on a CPU, whatever is there
    set_start_method("fork", force=True)  # of loading processes, as in a training
    torch.set_num_threads(1)
    with make(*values) as work:
        while _asked(pipe):
            wall, cpu = time.perf_counter(), _cpu_seconds()
            work()
            pipe.send(Cost(_cpu_seconds() - cpu, time.perf_counter() - wall))


def _asked(pipe: Connection) -> bool:
    try:
        pipe.recv()
    except EOFError:  # the other end is closed
        return False
    return True


def _cpu_seconds() -> float:
    """CPU time so far of this process and of its children that run, as Linux counts them."""
    ticks = 0
    for child in active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        ticks += sum(map(int, fields.split()[11:13]))  # in user and in system mode
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
