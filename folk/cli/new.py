"""Commands `new` and `path`, which begin a study of one's own in any folder."""

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.files import write_text
from folk.evidence.core.shipped import SHIPPED
from folk.evidence.study.study import path_safe

_NAME = re.compile(r"^study: .*$", re.MULTILINE)


def path() -> None:
    """Print the folder of the workflow and its studies.

    Use it as in `snakemake -s "$(folk path)/Snakefile"`.
    """
    print(SHIPPED)


def new(
    study: Annotated[Path, typer.Argument(help="folder to make; its last part names the study")],
    origin: Annotated[
        str, typer.Option("--from", help="shipped study to copy, such as fashion")
    ] = "demo",
) -> None:
    """Copy a shipped study to STUDY/study.yaml, to change it.

    Its recipes come from the package. A file in STUDY/recipes/STAGE/ overrides the package's recipe
    of the same name.
    """
    name = study.resolve().name
    try:
        path_safe(name)
    except ValueError as error:
        raise InputError(f"{study}: {error}") from error
    known = _studies()
    if origin not in known:
        raise InputError(f"--from {origin}: unknown study{nearest(origin, known)}")
    file = study / "study.yaml"
    if file.exists():
        raise InputError(f"{file}: exists already; choose another name, or delete the file")
    study.mkdir(parents=True, exist_ok=True)
    write_text(file, _NAME.sub(f"study: {name}", known[origin], count=1))
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f"{file}: study '{name}', a copy of '{origin}'; run it:")
    print(f'cd {study} && snakemake -s "$(folk path)/Snakefile" --configfile study.yaml')


def _studies() -> dict[str, str]:
    """The text of each study file of the package, by name."""
    files = {path.stem: path.read_text("utf-8") for path in SHIPPED.glob("config/*.yaml")}
    return {name: text for name, text in sorted(files.items()) if _NAME.search(text)}
