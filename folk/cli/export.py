"""Command `export`, which writes a study or a cell in a standard format."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.explain import explainer_of, warn_of_large_reads
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
    published: PublishedFile = Path("config/published"),
) -> None:
    """Write a study as an RO-Crate, or one cell as JSON.

    The Provenance Run Crate has every job with its inputs and outputs; files above 10 MB are
    referenced by digest instead of copied. The JSON is the output of `explain --json` with its
    schema's version, the digest of its chain and the seal. Status: 0 done, 1 the cell is
    contradicted, 2 invalid input.
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
    warn_of_large_reads(explainer, [cell])
    claim = cell_claim(explainer, cell)
    print(json.dumps(claim, indent=2, ensure_ascii=False))
    if not holds(claim):
        raise typer.Exit(1)


def _export_crate(study: Path, crate: Path, results: Path, whole: bool) -> None:
    from folk.evidence.adapters.rocrate_export import export_crate
    from folk.evidence.audit.chain import Chain

    named, study = effective_study(study, results)
    place = results / named.name
    counts = export_crate(named, study, Chain(place), crate, whole=whole)
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    Console(soft_wrap=True, highlight=False).print(f"{crate}: {parts}", markup=False)
