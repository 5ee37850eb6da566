"""Every command of the README runs, here in its order or in the test that is named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.workflow.conftest import ROOT, copy_repository

# Two minutes on two free cores; the limit is for machines that are busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

README = Path("README.md").read_text(encoding="utf-8")
# A block of code with its language, or a command with its arguments in a sentence.
CODE = re.compile(
    r"^```(\w*)\n(.*?)^```$|`((?:make|folk \w+|snakemake|python -m) [^`]+)`",
    re.MULTILINE | re.DOTALL,
)
# Too long to run once more: the file and the text in it that runs the same.
ELSEWHERE = {
    "make setup-core": ("tests/workflow/test_without_torch.py", '"make", "setup-core"'),
    "make test": (".ci/run", "make test-all"),
    "make smoke": ("tests/workflow/test_smoke.py", '"folk", "smoke", STUDY'),
    "make tamper": ("tests/test_tamper.py", "asked(lie)"),
    "folk verify config/fashion.yaml": (
        "tests/test_shipped.py", '"verify", f"config/{study}.yaml"',
    ),
    "python -m examples.folk_on_folder --images photos": (
        "tests/test_examples.py", '"-m", "examples.folk_on_folder", "--images"',
    ),
}  # fmt: skip
# The demo with hardly any images, one row and one evaluation.
DEMO = """\
study: demo
title: The commands of the README
scale: demo
data:
  scenes:
    recipe: demo
    set: {scenes.num_train: 80, scenes.num_val: 40, scenes.num_unlabeled: 64}
encoders:
  folk:
    label: FOLK
    recipe: demo-folk
    data: scenes
    seeds: [0]
    set: {optim.epochs: 2, optim.batch: 32, runtime.replay: {every: 2, keep: 2}}
evaluations:
  frozen: {stage: probe, recipe: demo, data: scenes, set: {linear.epochs: 3}}
tables:
  frozen:
    title: Frozen features
    rows: [folk]
    columns: {knn: {label: 20-NN, evaluation: frozen, metric: knn_top1_k20}}
  finetune:
    title: The table that make demo prints too
    rows: [folk]
    columns: {linear: {label: linear, evaluation: frozen, metric: linear_top1_last}}
"""


def commands(page):
    """The commands of a page in their order, each with the lines that it prints, says the page."""
    found = []
    for kind, block, inline in CODE.findall(page):
        if inline:
            found.append((" ".join(inline.split()), []))
        elif kind == "python":
            found.append((f"python - <<'END'\n{block}END", []))
        else:
            for line in block.splitlines():
                if kind == "bash" or line.startswith("$ "):
                    found.append((line.removeprefix("$ ").partition("  #")[0].strip(), []))
                elif line.strip() != "...":
                    found[-1][1].append(line)
    return found


def lend(folder):
    """Show the environment of the tests to make, under another name, as one that is ready."""
    folder.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != "ready":
            (folder / path.name).symlink_to(path)
    (folder / "ready").touch()


@pytest.fixture
def clone(tmp_path):
    """A clone with its environment and with what the commands read; `../clone` is itself."""
    folder = tmp_path / "clone"
    folder.mkdir()
    copy_repository(folder)
    for name in ("Makefile", "pyproject.toml", "requirements-core.lock"):
        shutil.copy2(ROOT / name, folder)
    lend(folder / ".venv")
    shutil.copytree(ROOT / "results/fashion", folder / "results/fashion")
    (folder / "config/demo.yaml").write_text(DEMO)
    (folder / "paper.tex").write_text("\\folk{frozen/folk/knn}\n")
    (folder / "photos").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{number}.png")
    return folder


@pytest.fixture
def call(clone):
    """Call a command in the clone."""
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("MAKE")},
        "PATH": f"{clone}/.venv/bin{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{clone}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "OMP_NUM_THREADS": "1",
    }

    def call(command):
        bash = ["bash", "-euo", "pipefail", "-c", command]
        return subprocess.run(bash, cwd=clone, env=environment, capture_output=True, text=True)

    # Or make would change the environment that is lent.
    assert call("make --question setup").returncode == 0
    return call


def words(text):
    return " ".join(text.split())


def test_every_command_runs_in_its_order_and_prints_what_the_page_shows(call, clone):
    found = commands(README)
    assert len(found) > 15
    for command, shown in found:
        if command in ELSEWHERE:
            continue
        done = call(command.replace(".venv-core/", ".venv/"))
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert [line for line in shown if words(line) not in words(done.stdout)] == []
    assert pq.read_table(clone / "features.parquet").num_rows == 4


@pytest.mark.parametrize("command", ELSEWHERE)
def test_a_longer_command_is_run_by_the_test_that_is_named(command):
    file, text = ELSEWHERE[command]

    assert command in dict(commands(README))
    assert text in (ROOT / file).read_text(encoding="utf-8")
    if command.startswith("make "):
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_the_tests_of_ci_have_the_quick_ones_among_them():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    quick, whole = (
        re.search(rf"^{target}:.*\n\t@\$\(PYTEST\) (.*)$", makefile, re.MULTILINE)[1]
        for target in ("test", "test-all")
    )
    assert quick.replace(" and not slow", "") == whole
