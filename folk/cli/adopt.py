"""Command `adopt`, which takes over results from `git clone` and `dvc pull`."""

import sys
from pathlib import Path

import typer
from rich.console import Console

from folk.cli.read import Results, StudyFile
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES


def adopt(study: StudyFile, results: Results = Path("results")) -> None:
    """Check pulled results, then mark them as up to date.

    Every byte is checked. Each changed or missing file and each broken chain gives a line, then
    status 1, and nothing is changed.
    """
    from folk.evidence.audit.adopt import adopt as adopt_results

    named = load_study(study, STAGES)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        done = adopt_results(
            named.name, results / named.name, ["python", "-m", "folk", *sys.argv[1:]]
        )
    except InputError as error:
        console.print(str(error), markup=False)
        console.print("failed; nothing was changed", markup=False)
        raise typer.Exit(1) from error
    console.print(
        f"adopted {done.adopted} records, {done.computed_here} were computed here; "
        f"{done.files} files match their records",
        markup=False,
    )
    if not done.sealed:
        console.print("no seal: the records themselves were not verified", markup=False)
