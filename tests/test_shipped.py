"""The results that are in git: they verify as they are, and the pages print their numbers."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

CELLS = {"fashion": 86, "fashion-ablations": 41, "fashion-multiverse": 24}  # of each shipped study
MEGABYTE = 2**20


def folk(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "folk", *arguments], capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("study", CELLS)
def test_a_shipped_study_verifies_and_names_what_git_does_not_hold(study):
    done = folk("verify", f"config/{study}.yaml", "--json")
    found = json.loads(done.stdout)

    assert [f for f in found["findings"] if f["wrong"]] == []
    assert done.returncode == 0
    absent = {Path(place).suffix for place in found["checked"]["elsewhere"]}
    assert absent <= {".safetensors", ".arrow", ".npz"}
    assert found["checked"]["cells"] == CELLS[study]


@pytest.mark.slow
@pytest.mark.parametrize("study", CELLS)
def test_a_shipped_study_is_exported_although_recipes_and_lock_changed_since(study, tmp_path):
    done = folk("export", f"config/{study}.yaml", "--crate", str(tmp_path / "crate"))

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "crate/results" / study / "cells.parquet").is_file()


@pytest.mark.parametrize("study", CELLS)
def test_a_shipped_study_takes_at_most_25_megabytes_of_git(study):
    folder = f"results/{study}"
    listed = subprocess.run(["git", "ls-files", "-z", folder], capture_output=True, check=True)
    files = [Path(name.decode()) for name in listed.stdout.split(b"\0") if name]

    assert len(files) > 100
    # Git compresses each file.
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) <= 25 * MEGABYTE


@pytest.mark.parametrize("page", ["README.md", "docs/fashion.md"])
def test_every_row_of_their_tables_on_a_page_is_a_row_of_a_report(page):
    text = Path(page).read_text(encoding="utf-8")
    printed = [line for line in text.splitlines() if line.startswith("|") and "±" in line]
    tables = [path for study in CELLS for path in Path("results", study).glob("tables/*.md")]
    made = "".join(path.read_text(encoding="utf-8") for path in tables)

    assert len(printed) >= 5
    assert [line for line in printed if _plain(line) not in _plain(made)] == []


def _plain(text: str) -> str:
    return text.replace(" ", "").replace("*", "")
