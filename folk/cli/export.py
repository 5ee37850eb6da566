"""The command that gives a study, or one cell of it, away in a form that other tools read."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.explain import explainer_of, say_what_is_read
from folk.cli.read import PublishedFile, Results, StudyFile, effective_study
from folk.evidence.core.errors import InputError


def export(
    study: StudyFile,
    crate: Annotated[
        Path | None, typer.Option(help="folder to make: the study as a Provenance Run Crate")
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="CELL", help="table/row/column: print the claim of one cell as JSON"
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="put files above 10 MB into the crate too")
    ] = False,
    shallow: Annotated[
        bool, typer.Option("--shallow", help="for a cell: do not hash files above 16 MB")
    ] = False,
    results: Results = Path("results"),
    published: PublishedFile = Path("config/published.yaml"),
) -> None:
    """Write a study as a Provenance Run Crate, or the claim of one cell as JSON.

    The crate has every job, what it read and what it made; files above 10 MB are named by their
    digest instead of copied. The claim is what `explain --json` says, with its schema's version,
    the digest of its chain and the seal. Status: 0 done, 1 the cell is contradicted, 2 wrong input.
    """
    if (crate is None) == (cell is None):
        raise InputError("export: give one of --crate FOLDER and --json table/row/column")
    if cell is not None:
        _export_cell(study, cell, results, published, shallow)
    elif crate is not None:
        _export_crate(study, crate, results, whole)


def _export_cell(study: Path, cell: str, results: Path, published: Path, shallow: bool) -> None:
    from folk.evidence.audit.cell_claim import cell_claim, holds

    explainer = explainer_of(study, results, published, shallow)
    say_what_is_read(explainer, [cell])
    claim = cell_claim(explainer, cell)
    print(json.dumps(claim, indent=2, ensure_ascii=False))
    if not holds(claim):
        raise typer.Exit(1)


def _export_crate(study: Path, crate: Path, results: Path, whole: bool) -> None:
    from folk.evidence.adapters.rocrate_export import export_crate
    from folk.evidence.audit.chain import Chain

    named, study = effective_study(study, results)
    place = results / named.name
    found = [place / "cells.parquet", place / "report.html", *sorted((place / "tables").glob("*"))]
    products = [path for path in found if path.is_file()]
    counts = export_crate(named, study, Chain(place), crate, whole=whole, products=products)
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    Console(soft_wrap=True, highlight=False).print(f"{crate}: {said}", markup=False)
