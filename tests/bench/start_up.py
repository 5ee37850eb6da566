"""How long a command takes before it does anything, and how long a cell's explanation takes."""

import subprocess
import sys
from pathlib import Path

from tests.bench.measure import Row, Skipped, seconds

CELL = "few-labels/folk/avg"
ROUNDS = 7


def rows() -> list[Row | Skipped]:
    """`folk --help`, and `folk explain` of a cell of the demo where that has been run."""
    found: list[Row | Skipped] = [_row("folk --help", 0.5, "--help")]
    if Path("results/demo/cells.parquet").is_file():
        explain = _row("folk explain, a cell of the demo", 1.5, "explain", "config/demo.yaml", CELL)
        return [*found, explain]
    why = "needs results/demo; run `make demo` first"
    return [*found, Skipped("folk explain, a cell of the demo", why)]


def _row(name: str, reach: float, *arguments: str) -> Row:
    command = [sys.executable, "-m", "folk", *arguments]
    measured = seconds(lambda: subprocess.run(command, capture_output=True, check=True))
    measured()  # files are in memory from here on
    return Row(name, "", "s", [measured() for _ in range(ROUNDS)], reach=reach)
