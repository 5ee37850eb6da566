"""A paper prints a study's numbers by macro, and numbers typed by hand are compared with them."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from folk.cli.app import app
from folk.evidence.audit.paper import check_paper
from folk.evidence.report.macros import HEAD, render_macros
from folk.evidence.results.cells import read_cells
from tests.faults.table import fault


@pytest.fixture(scope="module")
def cells(untouched):
    return {cell.id: cell for cell in read_cells(untouched.results / "cells.parquet")}


def test_a_negative_number_agrees_with_its_macro_and_as_it_is_typed(cells, tmp_path):
    cell = replace(cells["few/folk/avg"], value=-0.02, printed="-0.02 ± 0.01", printed_mean="-0.02")
    paper = tmp_path / "paper.tex"
    typed = [r"-0.02", r"$-0.02 \pm 0.01$", r"$-$0.02", r"\ensuremath{-}0.02"]
    lines = [f"a change of {number} % folk: {cell.id}\n" for number in typed]
    paper.write_text("".join([*lines, render_macros("toy", [cell])]), encoding="utf-8")

    done = check_paper(paper, {cell.id: cell, f"toy/{cell.id}": cell}, HEAD)

    assert (done.problems, done.typed) == ([], 5)


def problems_of(line, cells, tmp_path):
    paper = tmp_path / "paper.tex"
    paper.write_text(f"% a paper\n{line}\n", encoding="utf-8")
    found = check_paper(paper, cells, HEAD).problems
    return [problem.removeprefix(f"{paper}:2: ") for problem in found]


def test_each_number_of_a_study_has_a_macro_as_it_is_printed(untouched, cells):
    text = (untouched.results / "tables/numbers.tex").read_text()

    assert cells["few/folk/avg"].printed == "49.8 ± 0.7"
    name = "toy/few/folk/avg"
    assert rf"\folkcell{{{name}}}{{49.8~\ensuremath{{\pm}}~0.7}}% folk: {name}" in text
    assert text.count("\n\\folkcell{") == len(cells)
    assert text.isascii()


def test_a_number_that_is_missing_has_no_macro(tree):
    (tree.results / "finetune/folk-s1/full/metrics.json").unlink()

    tree.render()

    text = (tree.results / "tables/numbers.tex").read_text()
    assert "\n% toy/finetune/folk/top1: no number; not run: folk-s1/full" in text
    assert "folkcell{toy/finetune/folk/top1}" not in text
    assert "folkcell{toy/finetune/mfm/top1}" in text


@pytest.mark.parametrize(
    "line",
    [
        r"FOLK reaches \folk{few/folk/avg}.",
        r"FOLK reaches 49.8\,\% with few labels. % folk: few/folk/avg",
        r"FOLK reaches 49.8\%% folk: few/folk/avg",
        r"FOLK reaches $49.8\pm0.7$ % folk: few/folk/avg",
        r"FOLK & 12 & 49.8 ± 0.7 & \textbf{56.5}\\% folk: few/folk/avg, few/folk/a",
        r"from 40.8--49.8 % folk: few/folk/avg",
        r"nothing of ours: 3.14 % folklore: few/flok/avg",
        r"100\% sure % 49.9 \folk{few/flok/avg}",
        r"FOLK is ours. % FOLK: to be written",
        r"\folkcell{few/folk/avg}{49.8~\ensuremath{\pm}~0.7}",
    ],
)
def test_a_paper_that_agrees_has_no_problem(line, cells, tmp_path):
    assert problems_of(line, cells, tmp_path) == []


@fault(
    "Numbers",
    "a paper with another number than the study, or of an unknown cell",
    "`check` names file, line and cell, status 1",
)
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (r"\folk{few/flok/avg}", "unknown cell 'few/flok/avg'; did you mean 'few/folk/avg'?"),
        ("49.9 % folk: few/folk/avg", "few/folk/avg: expected 49.8 ± 0.7, got 49.9"),
        ("49.80 % folk: few/folk/avg", "few/folk/avg: expected 49.8 ± 0.7, got 49.80"),
        ("-49.8 % folk: few/folk/avg", "few/folk/avg: expected 49.8 ± 0.7, got -49.8"),
        (r"$49.8 \pm 0.6$ % folk: few/folk/avg",
         "few/folk/avg: expected 49.8 ± 0.7, got 49.8 ± 0.6"),
        ("49.8 % folk: few/folk/a few/folk/avg",
         "expected a number before the comment for each of its cells, got 1"),
        ("49.9 % Folk: few/folk/avg", "few/folk/avg: expected 49.8 ± 0.7, got 49.9"),
        ("49.9 %% folk : few/folk/avg", "few/folk/avg: expected 49.8 ± 0.7, got 49.9"),
        (r"\folkcell{few/folk/avg}{75.9}", "few/folk/avg: expected 49.8 ± 0.7, got 75.9"),
        (r"\folkcell{few/folk/avg}{56.5}% folk: few/folk/a",
         "few/folk/avg: expected 49.8 ± 0.7, got 56.5"),
        (r"\folkcell{few/folk/avg}", r"\folkcell: expected a cell and its number in one line"),
        (r"\folkcell{few/folk/avg}{49.8}\folkcell{few/folk/avg}{49.8}",
         "few/folk/avg: defined a second time, first in line 2"),
        (r"\renewcommand{\folk}[1]{75.9}",
         r"\folk: without a cell behind it; only numbers.tex may define it"),
        (r"\def\folkcell#1#2{75.9}",
         r"\folkcell: without a cell behind it; only numbers.tex may define it"),
        ("49.8 % folk: few/folk/agv", "unknown cell 'few/folk/agv'; did you mean 'few/folk/avg'?"),
    ],
)  # fmt: skip
def test_a_paper_that_differs_is_named_by_line_and_cell(line, problem, cells, tmp_path):
    assert problems_of(line, cells, tmp_path) == [problem]


def call(tree, paper, *more):
    results = ["--results", str(tree.results.parent)]
    return CliRunner().invoke(app, ["check", str(paper), str(tree.study_path), *more, *results])


def test_the_macros_of_a_study_agree_with_it_and_an_old_copy_does_not(untouched, tmp_path):
    text = (untouched.results / "tables/numbers.tex").read_text()
    copy = tmp_path / "numbers.tex"
    copy.write_text(text)
    assert call(untouched, copy).exit_code == 0

    copy.write_text(text.replace("49.8", "49.9"))
    done = call(untouched, copy)

    assert done.exit_code == 1
    assert "toy/few/folk/avg: expected 49.8 ± 0.7, got 49.9 ± 0.7" in done.stdout


def test_a_paper_that_is_not_there_is_invalid_input(untouched, tmp_path):
    done = call(untouched, tmp_path / "paper.tex")

    assert "paper.tex: no such file" in str(done.exception)
