"""Machines without a network, a home, a folder for temporary files or a modern terminal."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from folk.cli import app
from folk.data.dataset import EpochSampler, ImageDataset, loader
from folk.evidence.core.errors import InputError, describe_os_error
from tests.faults.table import fault

pytestmark = pytest.mark.slow

SHM_FULL = [
    "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call "
    "last):\n  ...\nRuntimeError: unable to allocate shared memory(shm) for file </torch_7_1_0>: "
    "No space left on device (28)\n",
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
    "workers are out of shared memory. Please try to raise your shared memory limit.",
]


@pytest.mark.parametrize("text", [pytest.param(text, marks=[
    fault("Disk", "a /dev/shm that is too small for loading processes",
          "one line that names it, status 2"),
]) for text in SHM_FULL])  # fmt: skip
def test_a_small_dev_shm_is_named(text):
    line = describe_os_error(RuntimeError(text))

    assert line is not None
    assert line.startswith("/dev/shm is full (")
    assert "--shm-size" in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("_", [pytest.param(0, marks=[
    fault("Services", "a `TMPDIR` too long for sockets", "one line before a training waits"),
])], ids=["long"])  # fmt: skip
def test_a_temporary_folder_too_long_for_sockets_is_refused(tmp_path, monkeypatch, _):
    for length, problem in ((75, None), (76, "TMPDIR: .*: expected at most 75 characters")):
        monkeypatch.setattr("tempfile.tempdir", "/" + "x" * (length - 1))
        dataset = object.__new__(ImageDataset)  # nothing is read
        sampler = EpochSampler(8, batch=4)
        with pytest.raises(InputError, match=problem) if problem else contextlib.nullcontext():
            loader(dataset, sampler, workers=1)
        loader(dataset, sampler, workers=0)


# Prepares images, trains on them and mirrors both; whatever looks beyond this machine is told.
ALONE = """
import socket, sys
from pathlib import Path

def forbidden(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1"):
        sys.stderr.write(f"LOOKED UP {arguments[0]}\\n")
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if arguments[1][0] not in ("127.0.0.1", "::1"):
            sys.stderr.write(f"CALLED {arguments[1]}\\n")

sys.addaudithook(forbidden)
from folk.cli.app import app
from folk.evidence.adapters.mlflow_mirror import sync_study

recipes, words = sys.argv[1], ["--study", "alone", "--scale", "demo"]
few = [f"scenes.num_{part}={count}" for part, count in
       (("train", 64), ("val", 16), ("unlabeled", 16))]
for command in (
    ["prepare", "--recipe", f"{recipes}/prepare/demo.yaml", "--name", "scenes", "--out",
     "results/alone/prepare/scenes", *(w for s in few for w in ("--set", s))],
    ["pretrain", "--recipe", f"{recipes}/pretrain/demo-mfm.yaml", "--name", "mfm-s0", "--seed", "0",
     "--dataset", "results/alone/prepare/scenes/dataset.json", "--out",
     "results/alone/pretrain/mfm-s0", "--set", "optim.batch=32", "--set", "optim.epochs=2",
     "--set", "about.expected=\u2212"],
):
    app([*command, *words], standalone_mode=False)
done = sync_study(Path("results/alone"), None, "alone")
assert done.created == 2, done
"""


@pytest.mark.parametrize("_", [pytest.param(0, marks=[
    fault("Services", "no network and no name resolution", "nothing asks for either"),
    fault("Services", "no `HOME`, no usable `TMPDIR`, locale C", "jobs run as everywhere"),
])], ids=["bare"])  # fmt: skip
def test_a_job_needs_nothing_but_its_folder(tmp_path, _):
    surroundings = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/dev/null",
        "TMPDIR": "/dev/null",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
    }
    (tmp_path / "folk").symlink_to(Path("folk").resolve())

    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(Path("config/recipes").resolve())],
        cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said = [s for s in done.stderr.splitlines() if s.startswith(("LOOKED UP", "CALLED"))]
    assert said == []
    assert (tmp_path / "results/alone/pretrain/mfm-s0/record.json").is_file()


def speaking(monkeypatch, says) -> None:
    """Make the command line one that only says something."""
    only = typer.Typer()
    only.command()(says)
    monkeypatch.setattr(app, "app", only)
    monkeypatch.setattr(sys, "argv", ["folk"])


SAID = "\u00b1 0.5 \u2265 \u65e5 \u00e9"


@fault("Services", "a terminal or a locale without UTF-8",
       "what it cannot show stands there as codes; files and pipes get UTF-8")  # fmt: skip
@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_terminal_makes_a_command_fail(monkeypatch, is_terminal):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1", write_through=True)
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    speaking(monkeypatch, lambda: print(json.dumps(SAID, ensure_ascii=False)))

    with pytest.raises(SystemExit) as ended:
        app.main()

    assert ended.value.code == 0
    if is_terminal:
        assert raw.getvalue() == b'"\xb1 0.5 \\u2265 \\u65e5 \xe9"\n'
    else:
        assert json.loads(raw.getvalue()) == SAID


@fault("Services", "a reader that stops reading, as in `folk explain ... | head`",
       "the command ends without a traceback")  # fmt: skip
@pytest.mark.parametrize("length", [1, 1_000_000])
def test_a_closed_pipe_ends_a_command_quietly(monkeypatch, capfd, length):
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stream)

    def shout():
        print("x" * length)
        sys.stdout.flush()

    speaking(monkeypatch, shout)

    with pytest.raises(SystemExit) as ended:
        app.main()

    assert ended.value.code == 1
    assert capfd.readouterr().err == ""
    with contextlib.suppress(BrokenPipeError):
        stream.close()
