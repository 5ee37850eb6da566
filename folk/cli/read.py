"""Options and files that the reading commands share."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.evidence.core.shipped import shipped
from folk.evidence.study.effective import difference, effective_path
from folk.evidence.study.study import Study, load_study, written_study
from folk.stages.table import STAGES

StudyFile = Annotated[
    Path, typer.Argument(help="study file, such as config/demo.yaml", callback=shipped)
]
Results = Annotated[Path, typer.Option(help="folder that holds the studies' results")]
PublishedFile = Annotated[
    Path, typer.Option(help="folder with the papers' numbers", callback=shipped)
]
Signers = Annotated[
    Path | None, typer.Option(help="ssh's allowed signers, one name and public key per line")
]


def from_here(path: Path) -> Path:
    """Convert a path to its form in records: relative to the current folder if below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def effective_study(study: Path, results: Path) -> tuple[Study, Path]:
    """The study that made the results, and its file; the given one where there are none yet.

    Results that were copied from another study bring its study.yaml along: the given one is read.

    Args:
        study: a study file, or the study.yaml of results.
        results: the folder that holds the studies' results.

    Returns:
        the study, each fine-tuning seed an evaluation of its own; its path from here.

    Raises:
        InputError: one of the files is missing or is no study.
    """
    study = from_here(study)
    name = written_study(study, STAGES).name
    path = from_here(effective_path(results / name))
    if not path.is_file():
        return load_study(study, STAGES), study
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if (other := written_study(path, STAGES).name) != name:
        console.print(f"{path}: expected study '{name}', got '{other}'; {study} is read")
        return load_study(study, STAGES), study
    keys = difference(study, path, STAGES)
    if keys:
        console.print(f"{study}: not the study that ran, differs in {keys}; {path} is read")
    return load_study(path, STAGES), path
