"""docs/extend.md, followed to the letter: its files are written and its commands run."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from folk.evidence.record.schema import read_record
from folk.filters.apply import apply_filter
from folk.filters.rng import BatchRng
from tests.filters import test_filters as generic

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(Path("docs/extend.md").read_text(encoding="utf-8"))
FILES = {
    text.split("\n", 1)[0].removeprefix("# "): text
    for kind, text in BLOCKS
    if kind not in ("bash", "diff")
}


def apply(diff, folder):
    """Change the files of a folder as a reader does."""
    subprocess.run(["git", "apply", "-"], cwd=folder, input=diff, text=True, check=True)


@pytest.fixture(scope="module")
def haar(tmp_path_factory):
    """The document's filter as a module."""
    path = tmp_path_factory.mktemp("haar") / "haar.py"
    path.write_text(FILES["folk/filters/haar.py"])
    spec = importlib.util.spec_from_file_location("haar", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_files_of_its_walks():
    assert list(FILES) == [
        "folk/filters/haar.py",
        "config/recipes/pretrain/demo-haar.yaml",
        "my-filters/pyproject.toml",
        "folk/methods/colorize.py",
        "config/recipes/pretrain/demo-colorize.yaml",
        "config/recipes/pretrain/demo-haar-resnet.yaml",
        "config/recipes/prepare/shades.yaml",
        "folk/stages/mirror.py",
        "config/recipes/mirror/demo.yaml",
        "config/mine.yaml",
    ]


def test_what_is_added_is_added_in_as_few_places_as_the_page_says():
    changed = [
        re.findall(r"^--- a/(.*)$", text, re.MULTILINE) for kind, text in BLOCKS if kind == "diff"
    ]

    assert changed == [
        ["folk/filters/table.py"],
        ["folk/methods/table.py"],
        ["folk/stages/finetune.py"],
        ["folk/stages/table.py", "workflow/rules/evaluate.smk"],
    ]


def test_none_of_them_stands_in_the_repository_already():
    assert [path for path in FILES if Path(path).exists()] == []


def test_what_holds_for_every_filter_holds_for_that_of_the_page(haar):
    chooses = haar.HaarFilter()

    generic.test_the_same_seed_draws_the_same_masks_and_touches_no_global_state(chooses)
    generic.test_images_need_not_be_square_nor_even(chooses)
    for size in [(32, 32), (31, 33), (32, 48)]:
        generic.test_every_mask_leaves_a_real_image(chooses, size)


def test_haar_bands_share_every_wave_as_the_transform_does(haar):
    height, width = 24, 40
    shares = haar.haar_shares(height, width, 2, torch.device("cpu"))
    torch.testing.assert_close(shares.sum(0), torch.ones(height, width // 2 + 1))

    # The taps of two levels, without the square root of two, and their spectra in float64.
    taps = {1: ([0.5, 0.5], [0.5, -0.5]), 2: ([0.25] * 4, [0.25, 0.25, -0.25, -0.25])}

    def energy(tap, count, half):
        padded = torch.tensor(tap + [0.0] * (count - len(tap)), dtype=torch.float64)
        spectrum = torch.fft.rfft(padded) if half else torch.fft.fft(padded)
        return spectrum.abs().square()

    for level, (low, high) in taps.items():
        across = energy(low, height, False)[:, None] * energy(high, width, True)
        diagonal = energy(high, height, False)[:, None] * energy(high, width, True)
        at = 1 + 3 * (level - 1)
        torch.testing.assert_close(shares[at].double(), across, atol=1e-6, rtol=0)
        torch.testing.assert_close(shares[at + 2].double(), diagonal, atol=1e-6, rtol=0)


def test_a_haar_mask_hides_as_many_bands_as_it_says(haar):
    images = torch.rand(64, 3, 32, 32, generator=generic.seeded())

    keep = haar.HaarFilter(levels=1, num_hidden=2)(images, BatchRng(0, len(images)))

    assert keep.shape == (64, 1, 32, 17)
    assert keep[:, 0, 0, 0].all()  # the mean color is in no detail band
    corners = keep[:, 0, [0, 16, 16], [16, 0, 16]]  # the finest waves across, down and diagonal
    assert (corners.sum(1) == 1).all()
    assert len({tuple(row) for row in corners.tolist()}) == 3
    flat = torch.full_like(images, 0.5)
    torch.testing.assert_close(apply_filter(flat, keep), flat)


USE = """
from pathlib import Path
from folk.evidence.core.errors import InputError
from folk.filters.table import FILTERS
from folk.stages.table import load_recipe
path = Path("config/recipes/pretrain/demo-haar.yaml")
section = load_recipe("pretrain", path).method.filter
print(FILTERS[section.kind](**section.model_dump(exclude={"kind"})))
try:
    load_recipe("pretrain", path, {"method.filter.num_hidden": 7})
except InputError as error:
    print(error)
"""


def test_the_page_makes_the_filter_known_and_its_recipe_refuses_what_cannot_be(tmp_path):
    for folder in ("folk", "config", "workflow"):
        shutil.copytree(folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    for kind, text in BLOCKS:
        if kind == "diff":
            apply(text, tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    made, refused = done.stdout.splitlines()
    assert made == "HaarFilter(levels=2, num_hidden=2)"
    assert re.match(r"\S+haar.yaml:\d+: method.filter: num_hidden: 7 of 6 detail bands", refused)


def test_the_commands_of_the_page_end_with_both_rows_in_the_table(clean_copy):
    folder = clean_copy.folder
    beside = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    said = ""
    for kind, text in BLOCKS:
        if kind == "diff":
            apply(text, folder)
            continue
        if kind != "bash":
            path = folder / text.split("\n", 1)[0].removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, text + done.stdout + done.stderr
        said = done.stdout

    table = (folder / "results/mine/tables/frozen.md").read_text(encoding="utf-8")
    assert said.endswith(table)
    for label in ("Haar", "Colorize", "Haar, ResNet-18"):
        assert re.search(rf"^\| {label} \| .*\d\d?\.\d", table, re.MULTILINE), table
    number = r"-?\d+\.\d+"
    assert re.search(rf"^\| Haar \| {number} \| {number} \| {number} \|$", said, re.MULTILINE), said
    for run, encoder in {"haar-s0": "vit_small_patch16_224", "resnet-s0": "resnet18"}.items():
        for record in (f"results/try/{run}", f"results/mine/pretrain/{run}"):
            recipe = read_record(folder / record / "record.json")["recipe"]
            assert recipe["method"]["filter"] == {"kind": "haar", "levels": 2, "num_hidden": 2}
            assert recipe["encoder"]["timm_name"] == encoder
