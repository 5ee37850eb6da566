"""The stage that reads all others: cells, tables, figures, one page."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.read import Results, StudyFile
from folk.study import load_study


def report(
    study: StudyFile,
    published: Annotated[Path, typer.Option(help="the papers' numbers")] = Path(
        "config/published.yaml"
    ),
    results: Results = Path("results"),
) -> None:
    """Render the tables, figures and the page of a study from its records and predictions."""
    from folk.recipes.choices import other_choices
    from folk.report.render import render_report

    named = load_study(study)
    folder = results / named.name
    for path in render_report(named, study, folder, published, choices=other_choices):
        Console(stderr=True, soft_wrap=True).print(str(path), highlight=False)
