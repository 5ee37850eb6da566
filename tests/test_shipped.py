"""The result that is in git: it verifies as it is, and the pages print its numbers."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

STUDY, RESULTS = Path("config/fashion.yaml"), Path("results/fashion")
MEGABYTE = 2**20


def folk(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "folk", *arguments], capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_shipped_study_verifies_and_names_what_git_does_not_hold():
    done = folk("verify", str(STUDY), "--json")
    found = json.loads(done.stdout)

    assert [f for f in found["findings"] if f["wrong"]] == []
    assert done.returncode == 0
    absent = {Path(place).suffix for place in found["checked"]["elsewhere"]}
    assert absent <= {".safetensors", ".arrow", ".npz"}
    assert found["checked"]["cells"] >= 85


def test_the_shipped_study_takes_at_most_25_megabytes_of_git():
    listed = subprocess.run(["git", "ls-files", "-z", RESULTS], capture_output=True, check=True)
    files = [Path(name.decode()) for name in listed.stdout.split(b"\0") if name]

    # Git compresses each file.
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) <= 25 * MEGABYTE


@pytest.mark.parametrize("page", ["README.md", "docs/fashion.md"])
def test_every_row_of_its_tables_on_a_page_is_a_row_of_the_report(page):
    text = Path(page).read_text(encoding="utf-8")
    printed = [line for line in text.splitlines() if line.startswith("|") and "±" in line]
    made = "".join(p.read_text(encoding="utf-8") for p in sorted(RESULTS.glob("tables/*.md")))

    assert len(printed) >= 5
    assert [line for line in printed if _plain(line) not in _plain(made)] == []


def _plain(text: str) -> str:
    return text.replace(" ", "").replace("*", "")
