"""The tutorials are followed to the letter, but for the environment, which is there already."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.workflow.conftest import ROOT, Copy

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUESTION, OWN = Path("docs/tutorials.md").read_text(encoding="utf-8").split("## Your own images")


def follow(page: str, copy: Copy) -> str:
    """Write the files of a page and run its commands; what they print."""
    beside = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{copy.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "OMP_NUM_THREADS": "1",
    }
    printed = ""
    for kind, text in BLOCK.findall(page):
        if kind != "bash":
            path = copy.folder / text.split("\n", 1)[0].removeprefix("# ")
            path.write_text(text, encoding="utf-8")
            continue
        commands = "".join(line for line in text.splitlines(True) if "make setup" not in line)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=copy.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, commands + done.stdout + done.stderr
        printed += done.stdout
    return printed


def test_an_edited_number_of_the_shipped_study_is_contradicted(clean_copy):
    shutil.copytree(ROOT / "results/fashion", clean_copy.folder / "results/fashion")
    restorable = "git init --quiet && git add results/fashion"
    subprocess.run(restorable, shell=True, cwd=clean_copy.folder, check=True)

    printed = follow(QUESTION, clean_copy)

    assert re.search(r"frozen/folk/knn\W+74\.0", printed)
    before, after = printed.split("Established", 1)[0], printed.rsplit("Contradicted", 1)
    assert "Contradicted" not in before
    assert "metrics.json" in after[1]
    assert printed.endswith("status 1: contradicted\n")


def test_own_images_and_foreign_weights_lead_to_a_table_that_can_be_run_again(clean_copy):
    printed = follow(OWN, clean_copy)

    for label in ("FOLK", "theirs"):
        assert re.search(rf"^\| {label} \| \d+\.\d \| \d+\.\d \|$", printed, re.MULTILINE)
    features = pq.read_table(clean_copy.folder / "features.parquet")
    assert features.num_rows == 40
    assert re.search(r"run again|the same", printed.rsplit("| theirs |", 1)[1]), printed
