"""The command that takes over results which came by `git clone` and `dvc pull`."""

import sys
from pathlib import Path

import typer
from rich.console import Console

from folk.cli.read import Results, StudyFile
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import load_study


def adopt(study: StudyFile, results: Results = Path("results")) -> None:
    """Check pulled results byte by byte, then let the workflow take them as they are.

    A wrong byte, a missing file or a broken chain is refused with a line each and status 1;
    nothing is touched then.
    """
    from folk.evidence.audit.adopt import adopt as adopt_results

    named = load_study(study)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        done = adopt_results(
            named.name, results / named.name, ["python", "-m", "folk", *sys.argv[1:]]
        )
    except InputError as error:
        console.print(str(error), markup=False)
        console.print("refused; nothing was touched", markup=False)
        raise typer.Exit(1) from error
    console.print(
        f"adopted {done.adopted} records, {done.computed_here} were computed here; "
        f"{done.files} files have the bytes that records name",
        markup=False,
    )
    if not done.sealed:
        console.print("no seal: nothing but the records themselves vouches for them", markup=False)
