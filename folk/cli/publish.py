"""Command `publish`, which hands a run's encoder on with what its study knows of it."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from folk.cli.explain import explainer_of
from folk.cli.read import PublishedFile, Results, StudyFile


def publish(
    study: StudyFile,
    run: Annotated[str, typer.Argument(help="run, such as folk-s0")],
    to: Annotated[Literal["hub"], typer.Option(help="hub: the form of a Hugging Face model")],
    out: Annotated[Path, typer.Option(help="folder to make")],
    upload: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="upload the folder to this repository, a private one if it is new",
        ),
    ] = None,
    license_id: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="of the weights, such as cc-by-4.0"),
    ] = None,
    results: Results = Path("results"),
    published: PublishedFile = Path("config/published"),
) -> None:
    """Write a run's encoder as a folder for a model hub.

    It has the weights, timm's config.json and a card.

    The card has each number of the run's row with interval and verdict, the claims, and the seal.
    They are derived again first, and nothing is written if a record, a prediction or the seal
    contradicts them.
    """
    from folk.evidence.adapters import hub
    from folk.evidence.audit.run_facts import run_facts

    facts = run_facts(explainer_of(study, results, published, shallow=True), run)
    hub.write_model_folder(facts, out, upload, license_id)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if upload is None:
        console.print("Nothing was uploaded; that takes --upload OWNER/NAME.")
        return
    message = f"{facts.study.name}/{run}, record {facts.job.id[:12]}"
    console.print(hub.upload(out, upload, message))
