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
    deposit: Annotated[
        Path | None, typer.Option(help="folder to make: the crate with .zenodo.json")
    ] = None,
    croissant: Annotated[
        Path | None,
        typer.Option(help="folder to write to: Croissant metadata of each prepared data set"),
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
    citation: Annotated[
        Path, typer.Option(help="for a deposit and Croissant: creators and license")
    ] = Path("CITATION.cff"),
    licenses: Annotated[
        list[str],
        typer.Option(
            "--license",
            metavar="DATA=LICENSE",
            help="for Croissant: license of a data set's images, such as fashion=MIT",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    results: Results = Path("results"),
    published: PublishedFile = Path("config/published"),
) -> None:
    """Write a study, its data sets or a cell in a standard form.

    The Provenance Run Crate has every job with its inputs and outputs; files above 10 MB are
    referenced by digest instead of copied. The JSON is the output of `explain --json` with its
    schema's version, the digest of its chain and the seal. Status: 0 done, 1 the cell is
    contradicted, 2 invalid input.
    """
    if sum(each is not None for each in (crate, deposit, croissant, cell)) != 1:
        raise InputError(
            "export: give one of --crate FOLDER, --deposit FOLDER, --croissant FOLDER and --json "
            "table/row/column"
        )
    if cell is not None:
        _export_cell(study, cell, results, published, shallow)
    elif croissant is not None:
        _export_croissant(study, croissant, results, citation, licenses)
    elif deposit is not None:
        _export_crate(study, deposit, results, whole, citation)
    elif crate is not None:
        _export_crate(study, crate, results, whole, None)


def _export_cell(study: Path, cell: str, results: Path, published: Path, shallow: bool) -> None:
    from folk.evidence.audit.cell_claim import cell_claim, holds

    explainer = explainer_of(study, results, published, shallow)
    warn_of_large_reads(explainer, [cell])
    claim = cell_claim(explainer, cell)
    print(json.dumps(claim, indent=2, ensure_ascii=False))
    if not holds(claim):
        raise typer.Exit(1)


def _export_crate(
    study: Path, out: Path, results: Path, whole: bool, citation: Path | None
) -> None:
    from folk.evidence.adapters.deposit import export_deposit
    from folk.evidence.adapters.rocrate_export import export_crate
    from folk.evidence.audit.chain import Chain

    named, study = effective_study(study, results)
    chain = Chain(results / named.name)
    if citation is None:
        counts = export_crate(named, study, chain, out, whole=whole)
    else:
        counts = export_deposit(named, study, chain, out, citation, whole=whole)
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    _print(f"{out}: {parts}")


def _export_croissant(
    study: Path, out: Path, results: Path, citation: Path, given: list[str]
) -> None:
    from folk.evidence.adapters.croissant import export_croissant
    from folk.evidence.audit.chain import Chain

    licenses = dict(each.split("=", 1) for each in given if "=" in each)
    if len(licenses) < len(given):
        raise InputError(f"--license {given}: expected DATA=LICENSE, each data set once")
    named, _ = effective_study(study, results)
    for path in export_croissant(named, Chain(results / named.name), out, citation, licenses):
        _print(path.as_posix())


def _print(line: str) -> None:
    Console(soft_wrap=True, highlight=False).print(line, markup=False)
