"""Options that several stages share."""

from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[
    Path, typer.Option(help="YAML file of the recipe; its keys are described in config/keys.md")
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set", help="KEY=VALUE laid over the recipe, such as optim.epochs=3", show_default=False
    ),
]
Out = Annotated[Path, typer.Option(help="folder of the results")]
Work = Annotated[
    Path | None,
    typer.Option(help="folder of the growing state; `<out>.work` when left out"),
]
Study = Annotated[str, typer.Option(help="name of the study, for the record")]
Scale = Annotated[str, typer.Option(help="demo, smoke or paper, for the record")]
Name = Annotated[str, typer.Option(help="name of the run, data set or split, such as folk-s0")]
Seed = Annotated[int, typer.Option(min=0, help="feeds every random number of the run")]
FinetuneSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="of several fine-tunings of one run: every random number follows from both seeds",
        show_default=False,
    ),
]
Evaluation = Annotated[str, typer.Option(help="name of the evaluation, for the record")]
Dataset = Annotated[Path, typer.Option(help="dataset.json of a prepared data set")]
Encoder = Annotated[Path, typer.Option(help="encoder.safetensors, with encoder.json next to it")]
Split = Annotated[
    Path | None, typer.Option(help="keys.parquet of a few-label split; all labels when left out")
]
Code = Annotated[str, typer.Option(help="fingerprint of the stage's code; computed when left out")]
Threads = Annotated[
    int, typer.Option(min=1, help="CPU threads of each process; part of a repeatable result")
]
TimeLimit = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="minutes that the SLURM job may take; a training saves and stops before that with "
        "status 75, and the next start continues. Without meaning outside SLURM",
    ),
]
