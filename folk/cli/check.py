"""Command `check`, which compares the numbers of a paper with those of studies."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.read import Results, effective_study, from_here


def check(
    paper: Annotated[Path, typer.Argument(metavar="PAPER.tex", help="LaTeX source")],
    studies: Annotated[
        list[Path],
        typer.Argument(
            metavar="STUDY...", help="study files; a cell without a study is from the first"
        ),
    ],
    results: Results = Path("results"),
) -> None:
    r"""Check that a paper prints the numbers of a study.

    Every \folk{table/row/column} must name a number of the study, and every number typed by hand
    before a comment "% folk: table/row/column" must be that cell as printed, with or without its
    deviation. Several cells in one comment are those of the last numbers of the line, in order.
    Every \folkcell{study/table/row/column}{number}, as in numbers.tex, must be that cell too.
    Whether the cells are right, `verify` says. Status: 0 all agree, 1 something differs, 2 invalid
    input.
    """
    from folk.evidence.audit.paper import check_paper
    from folk.evidence.report.macros import HEAD
    from folk.evidence.results.cells import Cell, read_cells

    cells: dict[str, Cell] = {}
    for path in studies:
        study, _ = effective_study(path, results)
        found = read_cells(from_here(results) / study.name / "cells.parquet")
        cells |= {f"{study.name}/{cell.id}": cell for cell in found}
        if path == studies[0]:
            cells |= {cell.id: cell for cell in found}
    done = check_paper(paper, cells, HEAD)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for problem in done.problems:
        console.print(problem)
    console.print(
        f"{paper}: {done.macros} numbers by macro, {done.typed} typed and named by a comment, "
        f"{len(done.problems)} problems"
    )
    if done.problems:
        raise typer.Exit(1)
