"""Command `rerun`, which runs a cell's jobs again and attests what came out."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from folk.cli.read import PublishedFile, Results, StudyFile, effective_study, from_here
from folk.evidence.audit.plan import Start
from folk.evidence.core.errors import InputError

if TYPE_CHECKING:
    from folk.evidence.audit.attestation import Predicate


def rerun(
    study: StudyFile,
    cell: Annotated[str, typer.Argument(help="table/row/column")],
    start: Annotated[
        Start,
        typer.Option(
            "--from",
            help="evaluation: the stored encoders; pretrain: the prepared data, or its source "
            "where they are not here",
        ),
    ] = "evaluation",
    attest: Annotated[
        bool,
        typer.Option("--attest", help="write results/STUDY/attestations/*.json, sign it by --key"),
    ] = False,
    key: Annotated[Path | None, typer.Option(help="ssh key that signs the attestation")] = None,
    by: Annotated[str, typer.Option(help="your name in the attestation, as you wish")] = "",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="of each job", show_default="those of the records"),
    ] = None,
    results: Results = Path("results"),
    published: PublishedFile = Path("config/published"),
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Run again what a cell needs, and compare; needs torch.

    Jobs run in a scratch folder; the study's results stay as they are.

    Status: 0 the value is the same or inside the seeds' interval, 1 it is not, 2 a job failed or
    the input is invalid.
    """
    from folk.evidence.audit.again import Scratch, jobs_again
    from folk.evidence.audit.attestation import make_predicate, write_attestation
    from folk.evidence.audit.subject import Subject
    from folk.evidence.results.cells import read_cells

    if key is not None and not attest:
        raise InputError("--key: needs --attest; add it")
    named, path = effective_study(study, results)
    folder = from_here(results) / named.name
    subject = Subject(named, path, folder, from_here(published), {})
    jobs = jobs_again(subject, cell, start)
    stored = {each.id: each for each in read_cells(folder / "cells.parquet")}
    if cell not in stored:
        raise InputError(f"{cell}: not in {folder}/cells.parquet; make the report first")
    with tempfile.TemporaryDirectory(prefix="folk-rerun-") as place:
        scratch = Scratch(subject.plan, Path(place), jobs)
        for number, job in enumerate(jobs, start=1):
            print(f"{number} of {len(jobs)}: {job.name}", file=sys.stderr, flush=True)
            problem = scratch.run(job, threads=threads, elsewhere=True)
            if problem is not None:
                raise InputError(f"{job.name}: run again it failed: {problem}")
        found = make_predicate(subject, scratch, jobs, stored[cell], start, by)
    if as_json:
        print(json.dumps(asdict(found), indent=2, ensure_ascii=False))
    else:
        _show(found)
    if attest:
        written = write_attestation(folder, found, jobs, key)
        print(
            f"{written}{'' if key else ': not signed, so it counts for nothing'}", file=sys.stderr
        )
    if found.inside is False or (found.inside is None and found.difference != 0):
        raise typer.Exit(1)


def _show(found: "Predicate") -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "stored", "again", "difference"):
        table.add_column(title, no_wrap=True)
    for run in found.runs:
        again = "" if run.finetune_seed is None else f", fine-tuning seed {run.finetune_seed}"
        numbers = (f"{run.value:.6g}", f"{run.again:.6g}", f"{run.difference:+.3g}")
        table.add_row(f"{run.run}{again}", *numbers)
    numbers = (f"{found.value:.6g}", f"{found.again:.6g}", f"{found.difference:+.3g}")
    table.add_row(found.cell, *numbers)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    if found.low is not None:
        place = "inside" if found.inside else "OUTSIDE"
        console.print(f"{place} the seeds' interval, {found.low:.6g} to {found.high:.6g}")
    same = sum(job.same == "bitwise" for job in found.jobs)
    console.print(f"{same} of {len(found.jobs)} jobs made the same bit by bit")
    for line in dict.fromkeys(line for job in found.jobs for line in job.why):
        console.print(f"other here: {line}")
