"""The notebook runs, and shows what its cells give today."""

import json

import nbformat
import pytest

from tests.notebook import PAGE, code_cells, run, texts


@pytest.mark.slow
def test_the_notebook_prints_and_draws_what_it_shows():
    notebook = json.loads(PAGE.read_text(encoding="utf-8"))
    shown = [cell["outputs"] for cell in code_cells(notebook)]

    nbformat.validate(notebook)
    assert texts(run(notebook)) == texts(shown), "python -m tests.notebook --write"
    assert [len(cell) for cell in shown] == [0, 2, 2]  # lines and a figure each
    assert PAGE.stat().st_size < 250_000
