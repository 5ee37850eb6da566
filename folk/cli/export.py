"""The command that gives a study away in a form that other tools read."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.read import Results, StudyFile
from folk.study import load_study


def export(
    study: StudyFile,
    crate: Annotated[Path, typer.Option(help="folder to make")],
    whole: Annotated[
        bool, typer.Option("--whole", help="put files above 10 MB into the folder too")
    ] = False,
    results: Results = Path("results"),
) -> None:
    """Write a study as a Provenance Run Crate: every job, what it read and what it made.

    Files above 10 MB are named by their digest instead of copied.
    """
    from folk.audit.chain import Chain
    from folk.audit.crate import export_crate

    named = load_study(study)
    place = results / named.name
    found = [place / "cells.parquet", place / "report.html", *sorted((place / "tables").glob("*"))]
    products = [path for path in found if path.is_file()]
    counts = export_crate(named, study, Chain(place), crate, whole=whole, products=products)
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    Console(soft_wrap=True, highlight=False).print(f"{crate}: {said}", markup=False)
