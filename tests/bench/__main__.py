"""`make bench`: how fast it is, against what people use today, as ratios.

    .venv/bin/python -m tests.bench                 all rows, a few minutes
    .venv/bin/python -m tests.bench masks step      some of them
    .venv/bin/python -m tests.bench released --mfm PATH     against a checkout of Jiahao000/MFM

Prints a table and leaves every repetition in results/bench/<rows>.json. Ratios are of turns that
follow each other, so they hold on a busy machine too; seconds do not, and the file has the load.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from folk.evidence.core.files import write_json
from tests.bench.measure import Row, Skipped, machine

# Each is a module beside this one whose `rows()` measures.
ROWS = (
    "spectrum",
    "masks",
    "step",
    "released",
    "dino",
    "data",
    "loaders",
    "knn",
    "prepare",
    "hashing",
    "replay",
    "verify_runs",
    "dry_run",
    "start_up",
    "paper",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure speed.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; else all")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--mfm", type=Path, help="checkout of Jiahao000/MFM, for the row released")
    given = parser.parse_args()
    if given.mfm and not (given.mfm / "main_mfm.py").is_file():
        parser.error(f"--mfm {given.mfm}: expected a checkout with main_mfm.py")
    if unknown := set(given.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    before, found = os.getloadavg(), []
    for name in given.rows or ROWS:
        print(f"measuring {name}", file=sys.stderr)
        measure = importlib.import_module(f"tests.bench.{name}").rows
        found += measure(given.mfm) if name == "released" else measure()
    Console(width=None if sys.stdout.isatty() else 160).print(_table(found))
    path = given.out / f"{'-'.join(given.rows) or 'all'}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = machine() | {"load_before": before, "load_after": os.getloadavg()}
    measured = [row.as_json() for row in found if isinstance(row, Row)]
    skipped = {row.name: row.why for row in found if isinstance(row, Skipped)}
    write_json(path, {"machine": about, "rows": measured, "skipped": skipped})
    print(f"all repetitions, machine and load: {path}", file=sys.stderr)


def _table(found: list[Row | Skipped]) -> Table:
    table = Table("what", "ours", "against", "baseline", "ratio", "reach", "reached")
    for row in found:
        if isinstance(row, Skipped):
            table.add_row(row.name, "not measured:", row.why)
            continue
        said = row.as_json()
        ours, baseline = said["ours_spread"][1], said.get("baseline_spread", [None, None])[1]
        bound = "" if row.reach is None else f"{'>=' if row.at_least else '<='} {row.reach:g}"
        table.add_row(
            f"{row.name} ({row.note})" if row.note else row.name,
            f"{ours:.3g} {row.unit}",
            row.against,
            "" if baseline is None else f"{baseline:.3g} {row.unit}",
            f"{row.figure:.3g}" if row.baseline else "",
            bound,
            {None: "", True: "yes", False: "NO"}[row.reached],
        )
    return table


if __name__ == "__main__":
    main()
