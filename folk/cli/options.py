"""Options that several stages share."""

from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[
    Path, typer.Option(help="YAML file of the recipe; config/keys.md explains its keys")
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set", help="KEY=VALUE over the recipe, such as optim.epochs=3", show_default=False
    ),
]
Out = Annotated[Path, typer.Option(help="folder of the results")]
Work = Annotated[
    Path | None,
    typer.Option(help="folder for checkpoints and unfinished files; default <out>.work"),
]
Study = Annotated[str, typer.Option(help="name of the study, for the record")]
Scale = Annotated[str, typer.Option(help="demo, smoke or paper, for the record")]
Name = Annotated[str, typer.Option(help="name of the run, data set or split, such as folk-s0")]
Seed = Annotated[int, typer.Option(min=0, help="seed of all random numbers of the run")]
FinetuneSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="seed of one of several fine-tunings of the run, used with --seed",
        show_default=False,
    ),
]
Evaluation = Annotated[str, typer.Option(help="name of the evaluation, for the record")]
Code = Annotated[str, typer.Option(help="fingerprint of the stage's code; computed when left out")]
Threads = Annotated[
    int, typer.Option(min=1, help="CPU threads per process; another number changes the last bits")
]
TimeLimit = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="minutes of the SLURM job; a training saves and stops before that with status 75, and "
        "the next start continues. No effect outside SLURM",
    ),
]
