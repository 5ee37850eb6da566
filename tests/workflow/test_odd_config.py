"""A title may hold anything; the path of its recipes, which stands in commands, may not."""

import shutil
from collections import Counter

import pytest

from tests.faults.table import fault

pytestmark = pytest.mark.slow

ODD = r"title: 'A {study} {x!r} $(touch pwned) `touch pwned` <b>\textbf \u2028'"


@fault("Config", "a title with braces, `$(...)` and backticks; recipes whose path a shell "
       "could misread", "the title is text and no more; the path is refused")  # fmt: skip
def test_a_title_is_text_for_the_workflow_and_an_odd_path_is_refused(clean_copy):
    clean_copy.edit("config/tiny.yaml", "title: A study for the tests", ODD)

    assert clean_copy.planned()["report"] == 1
    assert Counter(path.name for path in clean_copy.folder.iterdir())["pwned"] == 0

    odd = clean_copy.folder / "$(touch pwned) x"
    shutil.copytree(clean_copy.folder / "config/recipes", odd / "recipes")
    path = odd / "tiny.yaml"
    shutil.move(clean_copy.folder / "config/tiny.yaml", path)
    done = clean_copy.run("-m", "snakemake", "-n", "--configfile", str(path))
    assert done.returncode == 1
    assert "expected a path of letters, digits and _ . / + @ -" in done.stdout + done.stderr
    assert not (clean_copy.folder / "pwned").exists()
