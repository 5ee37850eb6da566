"""The command that asks one number of a table where it came from."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType

from folk.cli.read import Results, StudyFile
from folk.errors import InputError
from folk.study import load_study

_WORTH_A_WORD = 1_000_000_000  # bytes: reading them takes a while


def explain(
    study: StudyFile,
    cell: Annotated[
        str | None, typer.Argument(help="table/row/column; every cell is listed when left out")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="explain every cell, a line each")] = False,
    shallow: Annotated[
        bool, typer.Option("--shallow", help="do not hash files above 16 MB, and say so")
    ] = False,
    results: Results = Path("results"),
    published: Annotated[Path, typer.Option(help="the papers' numbers")] = Path(
        "config/published.yaml"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Say where a number came from, derive it again, and list what is established and what not.

    Status: 0 nothing is contradicted, 1 something is, 2 wrong input.
    """
    from folk.audit.chain import Chain
    from folk.audit.explain import Explainer
    from folk.audit.narrate import in_one_line, narrate, narrate_cells
    from folk.audit.today import Today
    from folk.cli.recipes_today import recipes_today
    from folk.report.cells import read_cells
    from folk.report.published import load_published

    if every and cell is not None:
        raise InputError(f"--all explains every cell; leave out '{cell}'")
    study, results, published = map(_from_here, (study, results, published))
    named = load_study(study)
    folder = results / named.name
    cells = read_cells(folder / "cells.parquet")
    console = Console(highlight=False)
    if cell is None and not every:
        rows = [(c.table, c.id, c.printed or c.note, c.verdict or "") for c in cells]
        if as_json:
            print(json.dumps([{"cell": c.id, "printed": c.printed} for c in cells], indent=2))
        else:
            _show(console, narrate_cells(rows))
        return

    explainer = Explainer(
        Chain(folder),
        named,
        cells,
        load_published(published),
        Today(recipe=recipes_today(named, study)),
        "small" if shallow else "all",
    )
    asked = [c.id for c in cells] if cell is None else [cell]
    if (size := explainer.bytes_to_read(asked)) > _WORTH_A_WORD:
        line = f"hashing {size / 1e9:.0f} GB; --shallow leaves large files out"
        Console(stderr=True, highlight=False).print(line)
    found = []
    for cell_id in asked:
        found.append(explainer.explain(cell_id))
        if every and not as_json:
            print(in_one_line(found[-1]), flush=True)  # a study of many cells takes a while
    if as_json:
        claims = [each.as_json() for each in found]
        print(json.dumps(claims if every else claims[0], indent=2, ensure_ascii=False))
    elif not every:
        _show(console, narrate(found[0]))
    if not all(each.holds for each in found):
        raise typer.Exit(1)


def _show(console: Console, text: RenderableType) -> None:
    if console.is_terminal:
        console.print(text)
        return
    with console.capture() as captured:
        console.print(text)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _from_here(path: Path) -> Path:
    """As records write paths: from the current folder where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
