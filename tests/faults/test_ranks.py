"""An error of one process of several is told once, by the process that has it."""

import subprocess
import sys

import pytest

from tests.faults.table import fault

# Process 0 waits for the others in a sum, while the last one meets an error.
PROGRAM = """
import os, signal, sys
import torch, typer
from folk.cli import app
from folk.evidence.core.errors import InputError
from folk.training.distributed import open_world

only = typer.Typer()

@only.command()
def job() -> None:
    with open_world(threads=1) as world:
        world.sum(torch.ones(1))
        if world.rank == world.size - 1:
            {end}
        world.sum(torch.ones(1))

app.app = only
sys.argv = ["folk"]
app.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "status", "line"),
    [
        pytest.param(
            "raise InputError('a.png: damaged')",
            2,
            "error: a.png: damaged",
            marks=fault(
                "Processes",
                "an error of the user's that one of several processes meets",
                "one line by that process, status 2; the others say nothing",
            ),
        ),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)",
            137,
            "error: process 1 was ended by SIGKILL",
            marks=fault(
                "Processes",
                "one of several processes is killed, as by a lack of memory",
                "one line with its number and the signal; the others say nothing",
            ),
        ),
    ],
    ids=["refused", "killed"],
)
def test_the_others_of_a_group_say_nothing(tmp_path, end, status, line):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(end=end))
    options = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]

    done = subprocess.run(
        [sys.executable, "-m", "folk.training.torchrun", *options, str(program)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert [found for found in done.stderr.splitlines() if "error" in found] == [line]
