"""Start of a command and of a training, and the explanation of a cell."""

import subprocess
import sys
from pathlib import Path

from tests.bench.measure import Row, Skipped, cpu_seconds, in_turns, seconds

CELL = "few-labels/folk/avg"
LIBRARIES = "torch, torchvision, timm"
ROUNDS = 7


def rows() -> list[Row | Skipped]:
    """`folk --help`, and `folk explain` of a cell of the demo where that has been run."""
    found: list[Row | Skipped] = [_row("folk --help", 0.5, "--help"), _imports()]
    if Path("results/demo/cells.parquet").is_file():
        explain = _row("folk explain, a cell of the demo", 1.5, "explain", "config/demo.yaml", CELL)
        return [*found, explain]
    why = "needs results/demo; run `make demo` first"
    return [*found, Skipped("folk explain, a cell of the demo", why)]


def _imports() -> Row:
    """CPU time of what a training imports, which is what it does before it reads its recipe."""
    ours, baseline = (
        cpu_seconds(lambda code=code: subprocess.run([sys.executable, "-c", code], check=True))
        for code in ("import folk.cli.app, folk.stages.tasks.pretrain", f"import {LIBRARIES}")
    )
    mine, other = in_turns(ours, baseline, ROUNDS)
    return Row("imports of a training: CPU time", LIBRARIES, "s", mine, other, reach=0.65)


def _row(name: str, reach: float, *arguments: str) -> Row:
    command = [sys.executable, "-m", "folk", *arguments]
    measured = seconds(lambda: subprocess.run(command, capture_output=True, check=True))
    measured()  # files are in memory from here on
    return Row(name, "", "s", [measured() for _ in range(ROUNDS)], reach=reach)
