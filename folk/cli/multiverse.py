"""Command `multiverse`, which writes a study of several readings of the papers at once."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.read import StudyFile
from folk.cli.smoke import path_for, write_study
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.shipped import own_or_shipped_recipe, shipped
from folk.evidence.core.yaml_model import parsed_settings
from folk.evidence.study.study import written_study
from folk.stages.recipes.multiverse import load_readings, multiverse_study
from folk.stages.recipes.named import recipe_of
from folk.stages.table import STAGES, load_recipe


def multiverse(
    study: StudyFile,
    cell: Annotated[str, typer.Option(help="column that is compared, such as frozen/knn")],
    rows: Annotated[str, typer.Option(help="row below and row above, or one row")] = "mfm-com,folk",
    readings: Annotated[Path, typer.Option(help="file of readings", callback=shipped)] = Path(
        "config/published/readings.yaml"
    ),
    vary: Annotated[str, typer.Option(help="names of readings; all if absent")] = "",
    seeds: Annotated[int, typer.Option(min=2, help="of each row under each reading")] = 2,
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE of every pre-training recipe")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Write a study that tests many readings of a paper at once.

    It is <study>-multiverse.yaml. Its rows combine the readings so that each is in half of them and
    no two always change together. Its claims state which reading changes the last row, and under
    how many the order of the rows holds. `folk plan` prints the hours.
    """
    whole = written_study(study, STAGES)
    known = load_readings(readings)
    named = [name for name in vary.split(",") if name] or list(known)
    for name in named:
        if name not in known:
            raise InputError(f"{readings}: unknown reading '{name}'{nearest(name, known)}")
    folder, of_rows = whole.recipe_folder(study), [row for row in rows.split(",") if row]
    if len(of_rows) not in (1, 2):
        raise InputError(f"--rows {rows}: expected one row or two")
    path = path_for(study, "multiverse")
    values = multiverse_study(
        whole,
        {row: recipe_of(folder, "pretrain", entry) for row, entry in whole.encoders.items()},
        {name: known[name] for name in named},
        name=path.stem,
        cell=cell,
        rows=of_rows,
        seeds=seeds,
        overrides=parsed_settings(settings),
    )
    for row in values["encoders"].values():  # readings that contradict each other show here
        file = own_or_shipped_recipe(folder / "pretrain" / f"{row['recipe']}.yaml")
        load_recipe("pretrain", file, row["set"])
    options = [f"--cell {cell}", f"--rows {rows}", f"--vary {','.join(named)}", f"--seeds {seeds}"]
    options += [f"--set {setting}" for setting in settings]
    write_study(path, values, f"multiverse {study} {' '.join(options)}")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    count = len(values["encoders"])
    console.print(f"{path}: {count} rows of {seeds} seeds; `folk plan {path}` prints the hours")
