"""Command `launch`, which starts a stage in several processes or nodes."""

import os
import sys
from typing import Annotated

import typer

from folk.evidence.core.errors import InputError
from folk.slurm.geometry import Geometry
from folk.slurm.gpus import hold_gpus
from folk.slurm.launch import in_step, outside


def launch(
    stage: Annotated[
        list[str], typer.Argument(help="a stage and its options, after `--`", metavar="STAGE ...")
    ],
    nodes: Annotated[int, typer.Option(min=1, help="machines of the SLURM job")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="processes per node")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="cores for each process")] = 1,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs per node, one for each process")] = 0,
    step: Annotated[bool, typer.Option("--in-step", hidden=True)] = False,
) -> None:
    """Start a stage in several processes or nodes.

    torchrun starts the processes of a node, and srun a torchrun on each of several nodes.
    """
    geometry = Geometry(nodes, processes, threads, gpus)
    command = (in_step if step else outside)(geometry, stage, os.environ)
    variables = os.environ | hold_gpus(gpus, os.environ)
    sys.stdout.flush()
    try:
        # exec: signals, exit status, memory and locks are those of the command.
        os.execvpe(command[0], command, variables)
    except OSError as error:
        raise InputError(f"{command[0]}: cannot be started ({error.strerror})") from error
