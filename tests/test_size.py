"""The sizes that the page tells are those of the files."""

import pytest

from tests.size import BEGIN, CELL, IMAGE, PAGE, imported, table


def test_the_page_has_the_table_of_today():
    assert f"{BEGIN}\n{table()}" in PAGE.read_text(encoding="utf-8"), "python -m tests.size --write"


@pytest.mark.parametrize("path", [IMAGE, CELL], ids=["image", "cell"])
def test_each_file_of_a_path_is_imported_by_another_one(path):
    # A recipe names the filter and a stage the metric's function; no import does.
    by_name = {"filters/com_rcom", "evidence/results/metrics/classification"}
    known = {module for other in path for module in imported(other)} | by_name

    assert set(path[1:]) - known == set()
