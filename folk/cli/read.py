"""Command `mlflow-sync`, which mirrors records in MLflow."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.job import log_clamped
from folk.evidence.core.files import clamp_future_mtimes, write_json
from folk.evidence.study.study import load_study

StudyFile = Annotated[Path, typer.Argument(help="study file, such as config/demo.yaml")]
Results = Annotated[Path, typer.Option(help="folder that holds the studies' results")]
PublishedFile = Annotated[Path, typer.Option(help="folder with the papers' numbers")]


def from_here(path: Path) -> Path:
    """Convert a path to its form in records: relative to the current folder if below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def mlflow_sync(
    study: StudyFile,
    results: Results = Path("results"),
    uri: Annotated[
        str | None, typer.Option(help="MLflow store; results/<study>/mlflow.db when left out")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="where to write what was done, MLflow's failure included, as JSON"),
    ] = None,
) -> None:
    """Replay every record of a study into MLflow; run again, it changes nothing.

    With --report a failure of MLflow is only reported, so that it does not fail the study.
    """
    from folk.evidence.adapters.mlflow_mirror import sync_study

    name = load_study(study).name
    log_clamped(clamp_future_mtimes((results / name).glob("*/**/record.json")))
    done = sync_study(results / name, uri, name)
    if report is not None:
        write_json(report, vars(done))
    Console(stderr=True, soft_wrap=True).print(str(done), highlight=False, markup=False)
    if done.error and report is None:
        raise typer.Exit(1)
