"""Seven lies about one number of the shipped study, of growing cunning, and what catches each.

Run `make tamper`. Everything happens in a temporary clone. docs/what-this-proves.md explains the
last lie, which no check of the files catches.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from folk.evidence.core.digest import digest_file
from folk.evidence.core.files import write_json
from folk.evidence.record.schema import record_id

STUDY = "config/fashion.yaml"
RESULTS = Path("results/fashion")
CELL = "frozen/mfm/knn"
RUNS = [f"mfm-s{seed}" for seed in range(5)]
PREDICTIONS, METRIC = "predictions-knn.parquet", "knn_top1_k20"
GAIN = 0.1  # of all images, in each run


def folk(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the clone's own code."""
    command = [sys.executable, "-m", "folk", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def git(root: Path, *arguments: str) -> None:
    """Run git in the clone."""
    identity = ["-c", "user.name=liar", "-c", "user.email=liar@localhost"]
    subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True)


def evaluation(root: Path, run: str) -> Path:
    """Return the folder of the evaluation of a run that the cell rests on."""
    return root / RESULTS / "probe" / run / "frozen"


def edit_table(root: Path) -> None:
    """Raise the printed number in the Markdown table by ten points."""
    path = root / RESULTS / "tables/frozen.md"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    row = next(place for place, line in enumerate(lines) if line.startswith("| MFM |"))
    number = lines[row].split("|")[2].split()[0]
    lines[row] = lines[row].replace(number, f"{float(number) + 100 * GAIN:.1f}", 1)
    path.write_text("".join(lines), encoding="utf-8")


def edit_cells(root: Path) -> None:
    """Raise it in cells.parquet too, from which tables and page are made."""
    edit_table(root)
    path = root / RESULTS / "cells.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        if row["id"] == CELL:
            row["value"] += 100 * GAIN
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def edit_metrics(root: Path) -> None:
    """Raise the measured value of every seed instead."""
    for run in RUNS:
        path = evaluation(root, run) / "metrics.json"
        metrics = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, metrics | {METRIC: metrics[METRIC] + GAIN})


def edit_predictions(root: Path) -> None:
    """Turn wrong predictions into right ones, so that the value is derived from them."""
    edit_metrics(root)
    for run in RUNS:
        path = evaluation(root, run) / PREDICTIONS
        table = pq.read_table(path)
        rows = table.to_pylist()
        wrong = [row for row in rows if row["predicted"] != row["label"]]
        for row in wrong[: round(GAIN * len(rows))]:
            row["predicted"] = row["label"]
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def edit_records(root: Path, *, renew_ids: bool = False) -> None:
    """Let the records name the new bytes and the new value."""
    edit_predictions(root)
    for run in RUNS:
        path = evaluation(root, run) / "record.json"
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for output in record["outputs"]:
            found = digest_file(root / output["path"])
            output |= {"size": found.size, "sha256": found.sha256, "md5": found.md5}
        record["metrics"][METRIC] += GAIN
        record["id"] = record_id(record) if renew_ids else record["id"]
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def report_and_seal(root: Path) -> None:
    """Give the records new ids, then make tables, page and seal anew with the project's tools."""
    edit_records(root, renew_ids=True)
    shutil.rmtree(root / RESULTS / "track")  # the mirror's record, which nobody misses
    (root / RESULTS / "seal.json").unlink()
    for command in ("report", "seal"):
        folk(root, command, STUDY).check_returncode()


def commit(root: Path) -> None:
    """Commit all that, so that git has the liar's seal."""
    report_and_seal(root)
    git(root, "commit", "-qam", "Refresh results")


LIES: tuple[Callable[[Path], None], ...] = (
    edit_table,
    edit_cells,
    edit_metrics,
    edit_predictions,
    edit_records,
    report_and_seal,
    commit,
)


def caught_by(root: Path) -> list[str]:
    """Return a line for each kind of finding of `folk verify`."""
    found = json.loads(folk(root, "verify", STUDY, "--json").stdout)
    lines: dict[str, str] = {}
    for finding in (finding for finding in found["findings"] if finding["wrong"]):
        kind = f"{finding['word']} {Path(finding['place']).name}"
        lines.setdefault(kind, f"{kind}: {finding['says'].splitlines()[0]}")
    return list(lines.values())


def main() -> None:
    """Tell each lie in a fresh state of the clone, and print what catches it."""
    source = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", source, root], check=True)
        for number, lie in enumerate(LIES, start=1):
            git(root, "reset", "-q", "--hard", "origin/HEAD")
            git(root, "clean", "-qfd")
            lie(root)
            print(f"\n{number}. {(lie.__doc__ or '').splitlines()[0]}")
            lines = caught_by(root)
            for line in lines[:3]:
                print(f"   caught: {line}")
            if not lines:
                print("   NOT caught: every file agrees with every other.")
    print(
        "\nOnly what the liar does not own helps against the last one: a seal that somebody else\n"
        "keeps or that is signed (`folk seal --sign`), the history of results/fashion/seal.json\n"
        "in git, or computing the number again (`folk verify --deep`, or a clone of your own and\n"
        "`folk compare`). See docs/what-this-proves.md."
    )


if __name__ == "__main__":
    main()
