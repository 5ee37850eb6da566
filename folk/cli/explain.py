"""Command `explain`, which shows the origin of a number or claim."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, RenderableType

from folk.cli.read import PublishedFile, Results, StudyFile, effective_study, from_here
from folk.evidence.core.errors import InputError

if TYPE_CHECKING:
    from folk.evidence.audit.explain import Explainer
    from folk.evidence.audit.explanation import ClaimExplanation, Explanation

_WORTH_A_WORD = 1_000_000_000  # bytes: reading them takes a while


def explain(
    study: StudyFile,
    asked: Annotated[
        str | None,
        typer.Argument(
            metavar="[CELL]",
            help="table/row/column, or claims/name; without it, all are listed",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="explain every cell and claim, one line each")
    ] = False,
    shallow: Annotated[
        bool, typer.Option("--shallow", help="do not hash files above 16 MB")
    ] = False,
    results: Results = Path("results"),
    published: PublishedFile = Path("config/published"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Recompute a number and show where it came from.

    The answer lists what is established and what is not. A claim is judged again from its cells.
    Status: 0 nothing is contradicted, 1 something is, 2 invalid input.
    """
    from folk.evidence.audit.explanation import claim_id
    from folk.evidence.audit.narrate import in_one_line, narrate

    if every and asked is not None:
        raise InputError(f"--all explains every cell; remove '{asked}'")
    explainer = explainer_of(study, results, published, shallow)
    console = Console(highlight=False)
    if asked is None and not every:
        _list(console, explainer, as_json)
        return

    claims = {**explainer.study.claims, **explainer.claims}
    names = [*explainer.cells, *map(claim_id, claims)] if asked is None else [asked]
    found = []
    for one in _explained(explainer, names):
        found.append(one)
        if every and not as_json:
            print(in_one_line(one), flush=True)  # a study of many cells takes a while
    if as_json:
        answer = [each.as_json() for each in found]
        print(json.dumps(answer if every else answer[0], indent=2, ensure_ascii=False))
    elif not every:
        _show(console, narrate(found[0]))
    if not all(each.holds for each in found):
        raise typer.Exit(1)


def explainer_of(study: Path, results: Path, published: Path, shallow: bool) -> "Explainer":
    """Open a study for explanations.

    Args:
        study: its file.
        results: the folder that holds the studies' results.
        published: the folder of published numbers.
        shallow: leave large files unread.

    Raises:
        InputError: a file is missing or invalid.
    """
    from folk.cli.recipes_today import recipes_today
    from folk.evidence.audit.attestation import read_attestations
    from folk.evidence.audit.chain import Chain
    from folk.evidence.audit.explain import Explainer
    from folk.evidence.audit.today import Today
    from folk.evidence.results.cells import read_cells
    from folk.evidence.results.claims import read_claims
    from folk.evidence.results.published import load_published

    results, published = map(from_here, (results, published))
    named, study = effective_study(study, results)
    folder = results / named.name
    claims = folder / "claims.parquet"
    return Explainer(
        Chain(folder),
        named,
        read_cells(folder / "cells.parquet"),
        load_published(published),
        Today(recipes_today(named, study)),
        "small" if shallow else "all",
        claims=read_claims(claims) if claims.is_file() else (),
        attestations=read_attestations(folder),
    )


def warn_of_large_reads(explainer: "Explainer", cells: list[str]) -> None:
    """Warn on standard error if explaining these cells reads a lot of data."""
    if (size := explainer.bytes_to_read(cells)) > _WORTH_A_WORD:
        line = f"hashing {size / 1e9:.0f} GB; --shallow leaves large files out"
        Console(stderr=True, highlight=False).print(line)


def _explained(
    explainer: "Explainer", names: list[str]
) -> Iterator["Explanation | ClaimExplanation"]:
    from folk.evidence.audit.explain_claim import cells_of_claim, explain_claim, is_claim

    cells = [
        cell
        for name in names
        for cell in (cells_of_claim(explainer, name) if is_claim(name) else [name])
    ]
    warn_of_large_reads(explainer, cells)
    for name in names:
        yield explain_claim(explainer, name) if is_claim(name) else explainer.explain(name)


def _list(console: Console, explainer: "Explainer", as_json: bool) -> None:
    from folk.evidence.audit.explanation import claim_id
    from folk.evidence.audit.narrate import narrate_cells

    cells, claims = explainer.cells.values(), explainer.claims.values()
    if as_json:
        answer = [{"cell": c.id, "printed": c.printed} for c in cells]
        answer += [{"claim": claim_id(c.id), "verdict": c.verdict} for c in claims]
        print(json.dumps(answer, indent=2))
        return
    rows = [(c.table, c.id, c.printed or c.note, c.verdict or "") for c in cells]
    rows += [("claims", claim_id(c.id), "", c.verdict) for c in claims]
    _show(console, narrate_cells(rows))


def _show(console: Console, text: RenderableType) -> None:
    if console.is_terminal:
        console.print(text)
        return
    with console.capture() as captured:
        console.print(text)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
