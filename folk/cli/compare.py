"""Command `compare`, which explains the differences of two studies' results."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from folk.stages.table import STAGES

if TYPE_CHECKING:
    from folk.evidence.audit.compare import ComparedCell, Comparison, Predictions, Results

Folder = Annotated[Path, typer.Argument(help="results of a study, such as results/demo")]


def compare(
    one: Folder,
    other: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Compare two results folders and explain each difference.

    They may come from two studies, commits or machines. Status: 0 the records explain every
    difference, 1 they do not, 2 invalid input.
    """
    from folk.evidence.audit.compare import Results
    from folk.evidence.audit.compare import compare as compare_results

    sides = Results(one), Results(other)
    found = compare_results(*sides, STAGES)
    if as_json:
        made = {name: side.made_by for name, side in zip(("one", "other"), sides, strict=True)}
        print(json.dumps({"made_by": made, **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        _show(sides, found)
    if any(cell.state == "unexplained" for cell in found.cells):
        raise typer.Exit(1)


def _show(sides: "Sequence[Results]", found: "Comparison") -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name, side in zip(("one", "other"), sides, strict=True):
        made = "; ".join(", ".join(values) for values in side.made_by.values())
        console.print(f"{name:5}  {side.folder}: {made}")
    different = [cell for cell in found.cells if cell.state != "equal"]
    lines = dict.fromkeys(line for cell in different for line in _lines(cell))
    numbers = {line: str(number) for number, line in enumerate(lines, start=1)}
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("cell", no_wrap=True)
    for title in ("one", "other", "other - one", "predictions", "why"):
        table.add_column(title, overflow="fold")
    for cell in different:
        table.add_row(
            cell.id, *(printed or "-" for printed in cell.printed), _difference(cell),
            _predictions(cell.predictions), ", ".join(numbers[line] for line in _lines(cell)),
        )  # fmt: skip
    if different:
        console.print(table)
    for line, number in numbers.items():
        console.print(f"{number:>3}  {line}")
    for name, only in (("one", found.only_one), ("other", found.only_other)):
        if only:
            console.print(f"only in {name}: {', '.join(only)}")
    count = sum(cell.state == "unexplained" for cell in different)
    equal = len(found.cells) - len(different)
    console.print(
        f"{equal} cells are equal, {len(different) - count} differ as explained, "
        f"{count} unexplained"
    )


def _lines(cell: "ComparedCell") -> list[str]:
    return [*cell.why, *(f"unexplained: {line}" for line in cell.unexplained)]


def _difference(cell: "ComparedCell") -> str:
    if cell.difference is None:
        return "-"
    span = "" if cell.low is None else f" ({cell.low:+.3g} to {cell.high:+.3g})"
    return f"{cell.difference:+.3g}{span}"


def _predictions(found: "Predictions | None") -> str:
    if found is None:
        return ""
    if found.identical == found.jobs:
        return "identical"
    return "differ" if found.differ is None else f"{found.differ} of {found.of} differ"
