"""Commands that read what the stages left: the mirror in MLflow, the seal in DVC."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.files import write_json
from folk.study import load_study

StudyFile = Annotated[Path, typer.Argument(help="study file, such as config/demo.yaml")]
Results = Annotated[Path, typer.Option(help="folder that holds the studies' results")]


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

    With --report a failure of MLflow is only reported: no study fails because its mirror did.
    """
    from folk.tracking import sync_study

    name = load_study(study).name
    done = sync_study(results / name, uri, name)
    if report is not None:
        write_json(report, vars(done))
    Console(stderr=True, soft_wrap=True).print(str(done), highlight=False, markup=False)
    if done.error and report is None:
        raise typer.Exit(1)


def seal(study: StudyFile, root: Path = Path()) -> None:
    """Hand the bytes of a finished study to DVC and compare its digests with the records."""
    from folk.provenance.seal import commit_to_dvc

    named = load_study(study)
    commit_to_dvc(root, named.name, named.unused_stages())
