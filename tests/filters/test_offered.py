"""A filter of another package is one like ours, and its code is part of what it gives."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path("docs/extend.md").read_text(encoding="utf-8")
HAAR, RECIPE = re.findall(
    r"^```\w+\n# \S+/(?:haar\.py|demo-haar\.yaml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)
USE = """
import json, sys
from pathlib import Path
from folk.evidence.core.errors import InputError
from folk.stages.recipes import result_values
from folk.stages.table import load_recipe

path = Path("demo-haar.yaml")
recipe = load_recipe("pretrain", path)
made = None
if "make" in sys.argv:  # with torch
    from folk.stages.tasks.pretrain import FILTERS, _part
    made = _part(FILTERS, recipe.method.filter)
try:
    load_recipe("pretrain", path, {"method.filter.code": "0" * 64})
except InputError as error:
    print(error)
print(json.dumps([repr(made), result_values(recipe)["method"]["filter"]]))
"""


@pytest.fixture
def use(tmp_path):
    """Install the page's filter as a package, and use it in a recipe."""
    (metadata,) = re.findall(r"^```toml\n.*?entry-points.*?\n(.*?)^```$", PAGE, re.M | re.S)
    package = tmp_path / "my_filters"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "haar.py").write_text(HAAR)
    information = tmp_path / "my_filters-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-filters\nVersion: 1.0\n")
    entry = re.sub(r'"(.*)"', r"\1", metadata)
    (information / "entry_points.txt").write_text(f"[folk.filters]\n{entry}")
    base = Path("config/recipes/pretrain").resolve()
    (tmp_path / "demo-mfm.yaml").symlink_to(base / "demo-mfm.yaml")
    (tmp_path / "demo-haar.yaml").write_text(RECIPE)
    path = os.pathsep.join([str(tmp_path), str(Path.cwd())])

    def call(*words, add=""):
        (package / "haar.py").write_text(HAAR + add)
        done = subprocess.run(
            [sys.executable, "-c", USE, *words],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        refused, values = done.stdout.splitlines()
        return refused, *json.loads(values)

    return call


def test_a_filter_of_another_package_is_made_from_a_recipe_that_names_its_code(use):
    refused, made, section = use("make")
    _, _, other = use(add="\n\nDEFAULT_LEVELS = 2\n")

    assert made == "HaarFilter(levels=2, num_hidden=2)"
    assert section == {"kind": "haar", "levels": 2, "num_hidden": 2, "code": section["code"]}
    assert re.fullmatch(r"[0-9a-f]{64}", section["code"])
    assert other["code"] != section["code"]
    assert "method.filter.code" in refused
