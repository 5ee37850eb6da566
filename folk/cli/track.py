"""Command `mlflow-sync`, which mirrors records in MLflow."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.job import log_clamped
from folk.cli.read import Results, StudyFile, from_here
from folk.cli.reader_job import run_reader
from folk.evidence.core.files import clamp_future_mtimes, write_json
from folk.evidence.record.failures import record_paths
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES


def mlflow_sync(
    study: StudyFile,
    results: Results = Path("results"),
    uri: Annotated[
        str | None, typer.Option(help="MLflow store; results/<study>/mlflow.db when left out")
    ] = None,
    record: Annotated[
        bool,
        typer.Option(
            "--record", help="write tracked.json, what was done, and track/record.json to results"
        ),
    ] = False,
) -> None:
    """Copy the records of a study to MLflow.

    A second call changes nothing. With --record a failure of MLflow is only noted, so that it does
    not fail the study.
    """
    from folk.evidence.adapters.mlflow_mirror import SyncReport, sync_study

    named = load_study(study, STAGES)
    folder = from_here(results) / named.name

    def sync() -> SyncReport:
        done = sync_study(folder, uri, named.name)
        Console(stderr=True, soft_wrap=True).print(str(done), highlight=False, markup=False)
        return done

    def noted() -> list[Path]:
        path = folder / "tracked.json"
        write_json(path, vars(sync()))
        return [path]

    if record:
        run_reader("track", named, folder, {}, {}, noted)
        return
    log_clamped(clamp_future_mtimes(record_paths(folder)))
    if sync().error:
        raise typer.Exit(1)
