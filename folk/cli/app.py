"""Entry point of all sub-commands, which turns errors into one line and an exit status."""

import io
import os
import sys
import time
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from folk import __version__
from folk.cli.adopt import adopt
from folk.cli.check import check
from folk.cli.cluster import cluster
from folk.cli.compare import compare
from folk.cli.embed import embed
from folk.cli.explain import explain
from folk.cli.export import export
from folk.cli.freeze import freeze
from folk.cli.launch import launch
from folk.cli.multiverse import multiverse
from folk.cli.new import new, path
from folk.cli.plan import plan
from folk.cli.publish import publish
from folk.cli.report import report
from folk.cli.rerun import rerun
from folk.cli.schema import schema
from folk.cli.seal import seal
from folk.cli.smoke import smoke
from folk.cli.stages import command_of
from folk.cli.status import status
from folk.cli.track import mlflow_sync
from folk.cli.verify import WORDS, verify
from folk.evidence.core.errors import InputError, describe_os_error
from folk.evidence.core.secrets import without_secrets
from folk.stages.table import STAGES

ALONE_AFTER = 10.0  # seconds; a crowded machine is slow
PEER_LEFT = ("Connection closed by peer", "Connection reset by peer")  # gloo's words

app = typer.Typer(
    name="python -m folk",
    help="Reproduce and audit every number of FOLK and MFM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _answer_version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"folk {__version__}")
        raise typer.Exit


for stage in STAGES.values():
    app.command(rich_help_panel="Stages")(command_of(stage) if stage.run else report)
app.command()(new)
app.command()(path)
app.command()(launch)
app.command()(plan)
app.command()(status)
app.command()(cluster)
app.command("mlflow-sync")(mlflow_sync)
app.command(rich_help_panel="Audit", epilog=WORDS)(verify)
for question in (explain, compare, check, rerun, freeze, seal, adopt, export):
    app.command(rich_help_panel="Audit")(question)
app.command()(embed)
app.command()(publish)
app.command()(smoke)
app.command()(multiverse)
app.command()(schema)


def main() -> None:
    """Run a sub-command.

    Invalid input, a full disk and too little memory end with one line and status 2, without a
    traceback.
    """
    _force_utf8_output()
    try:
        _refuse_bytes(sys.argv)
        app()
    except InputError as error:
        _refuse(str(error))
    except Exception as error:
        line = describe_os_error(error)
        if line is None:
            if any(words in " ".join(str(error).split()) for words in PEER_LEFT):
                # The process that left has the reason, and prints it; the launcher ends this one.
                time.sleep(2 * ALONE_AFTER)
            raise
        _refuse(line)


def _refuse_bytes(words: list[str]) -> None:
    """Check that every word is text: a record could not hold it."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{word}: no UTF-8; rename the file or folder") from error


def _refuse(line: str) -> NoReturn:
    if os.environ.get("RANK", "0") != "0":
        # All processes of a job meet the same error: the first one prints it and the launcher ends
        # the others. One that is alone with its error prints it after the wait.
        time.sleep(ALONE_AFTER)
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"error: {without_secrets(line)}", style="red", markup=False
    )
    sys.exit(2)


def _force_utf8_output() -> None:
    """Replace characters that a terminal or locale cannot show, instead of failing.

    A terminal gets escapes for unsupported characters; files and other programs get UTF-8, the
    encoding of JSON.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
