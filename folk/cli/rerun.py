"""Command `rerun`, which runs the jobs of cells again and attests what came out."""

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
    cells: Annotated[list[str], typer.Argument(help="table/row/column, one or several")],
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

    Jobs run in a scratch folder, once for all cells that need them; the study's results stay as
    they are. Each cell gets an attestation of its own.

    Status: 0 each value is the same or inside the seeds' interval, 1 one is not, 2 a job failed or
    the input is invalid.
    """
    from folk.evidence.audit.again import Scratch, jobs_again
    from folk.evidence.audit.attestation import make_predicate, write_attestation
    from folk.evidence.audit.subject import Subject
    from folk.evidence.results.cells import read_cells

    if key is not None and not attest:
        raise InputError("--key: needs --attest; add it")
    if key is not None and not key.is_file():  # before the hours that jobs may take
        raise InputError(f"--key {key}: no such file")
    named, path = effective_study(study, results)
    folder = from_here(results) / named.name
    subject = Subject(named, path, folder, from_here(published), {})
    jobs_of = {cell: jobs_again(subject, cell, start) for cell in cells}
    stored = {each.id: each for each in read_cells(folder / "cells.parquet")}
    for cell in cells:
        if cell not in stored:
            raise InputError(f"{cell}: not in {folder}/cells.parquet; make the report first")
    # Makers are before readers in each list, so they are in the whole one.
    jobs = list({job.path: job for needed in jobs_of.values() for job in needed}.values())
    with tempfile.TemporaryDirectory(prefix="folk-rerun-") as place:
        scratch = Scratch(subject.plan, Path(place), jobs)
        for number, job in enumerate(jobs, start=1):
            print(f"{number} of {len(jobs)}: {job.name}", file=sys.stderr, flush=True)
            problem = scratch.run(job, threads=threads, elsewhere=True)
            if problem is not None:
                raise InputError(f"{job.name}: run again it failed: {problem}")
        found = [
            make_predicate(subject, scratch, needed, stored[cell], start, by)
            for cell, needed in jobs_of.items()
        ]
    if as_json:
        print(json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
    else:
        for each in found:
            _show(each)
    if attest:
        unsigned = "" if key else ": not signed, so it counts for nothing"
        for each in found:
            written = write_attestation(folder, each, jobs_of[each.cell], key)
            print(f"{written}{unsigned}", file=sys.stderr)
    if not all(each.difference == 0 if each.inside is None else each.inside for each in found):
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
