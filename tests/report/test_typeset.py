"""LaTeX typesets our tables and macros."""

from pathlib import Path

import pytest

from folk.evidence.results.cells import read_cells
from tests.report.typeset import needs_latex, typeset, typeset_tables

pytestmark = needs_latex
ROOT = Path(__file__).parents[2]
FASHION = ROOT / "results/fashion"


@pytest.mark.parametrize("study", ["fashion", "fashion-ablations"])
def test_all_tables_and_macros_of_a_shipped_study_make_a_paper(study, tmp_path):
    results = ROOT / "results" / study

    pdf, complaints = typeset_tables(tmp_path, results / "tables")

    assert complaints == ""
    means = {cell.printed_mean for cell in read_cells(results / "cells.parquet")}
    assert len(means) > 10
    assert [mean for mean in means if f"({mean}".encode() not in pdf] == []


def test_a_table_with_published_and_quoted_numbers_verdicts_and_gaps_is_typeset(tree, tmp_path):
    quoted = "    context:\n      ibot: {label: iBOT, cells: {top1: folk-t1-ibot-1600-vitb}}\n"
    changed = tree.rewrite("  few:\n    title", f"{quoted}  few:\n    title")
    (tree.results / "finetune/folk-s1/full/metrics.json").unlink()
    changed.render()

    pdf, complaints = typeset_tables(tmp_path, tree.results / "tables")

    assert complaints == ""
    assert b"(iBOT)" in pdf


def test_a_macro_prints_the_number_of_its_cell(tmp_path):
    macros = rf"\input{{{FASHION}/tables/numbers}}"

    pdf, complaints = typeset(tmp_path, macros, r"\folk{frozen/folk/knn}")

    assert complaints == ""
    assert b"[(74.0)]TJ" in pdf
    assert b"(0.5)]TJ" in pdf


def test_the_macros_of_two_studies_are_told_apart(tmp_path):
    macros = "".join(
        rf"\input{{{ROOT}/results/{study}/tables/numbers}}"
        for study in ("fashion", "fashion-ablations")
    )
    other = read_cells(ROOT / "results/fashion-ablations/cells.parquet")[0]

    pdf, complaints = typeset(
        tmp_path, macros, rf"\folk{{frozen/folk/knn}} and \folk{{fashion-ablations/{other.id}}}"
    )

    assert complaints == ""
    assert b"[(74.0)]TJ" in pdf
    assert f"({other.printed_mean})".encode() in pdf


def test_an_unknown_cell_is_an_error_that_names_it(tmp_path):
    macros = rf"\input{{{FASHION}/tables/numbers}}"

    pdf, complaints = typeset(tmp_path, macros, r"\folk{frozen/flok/knn}")

    assert pdf == b""
    assert "No number for the cell 'frozen/flok/knn'" in complaints
