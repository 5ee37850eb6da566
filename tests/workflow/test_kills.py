"""Kills, Ctrl-C and several drivers: the short form of `tests/faults/test_soak.py`."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from folk.evidence.core.digest import digest_file
from folk.evidence.record.schema import read_record
from tests.faults.soak import DRIVER, STUDY, Process, Soak, processes, results_of
from tests.faults.table import fault
from tests.workflow.conftest import Copy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

AGAIN = ("segment/folk-s0/upernet", "robustness/folk-s0/robust")
DATA = "results/tiny/prepare/scenes/dataset.json"
PATIENCE = 300.0  # seconds


@fault(
    "Processes",
    "`kill -9` of a training, of an evaluation, of the report and of the mirror; Ctrl-C to the "
    "driver and its jobs",
    "Snakemake tries again, or the next call goes on; all results are those of a quiet run",
    lost="what came after the last checkpoint, or the job's own work",
)
def test_jobs_that_are_killed_once_and_a_driver_that_is_stopped_change_no_result(
    finished_study, finished_copy
):
    results = finished_copy.folder / "results/tiny"
    for job in AGAIN:
        shutil.rmtree(results / job)
    # Well before they end: most of a job's computing is its start.
    lives = dict.fromkeys((*AGAIN, "report", "mlflow-sync"), 2.0)
    for made in ("report.html", "tracked.json", "mlflow.db"):  # else nothing would be missed
        (results / made).unlink()
    kills = Counter(dict.fromkeys(lives, 1))
    # Ten seconds: killed jobs that start again take longer on the quickest machine.
    moments, ends = random.Random(0), ["ctrl-c"]
    soak = Soak(finished_copy, moments, lives, kills, driver_ends=ends, driver_lives=12.0)
    soak.run(20 * 60)

    assert soak.ended == ["ctrl-c"]
    assert soak.killed == Counter(lives.keys())
    assert finished_copy.planned() == Counter()
    assert results_of(finished_copy.folder) == results_of(finished_study.folder)


@fault(
    "Processes",
    "a job that finishes while its driver is stopped, so that Snakemake's mark of it remains",
    "its record, which is written last, tells that it is whole: it is not made again",
)
def test_what_has_a_record_is_whole_whatever_marks_a_stopped_driver_left(finished_copy):
    for job in AGAIN:
        for path in (finished_copy.folder / "results/tiny" / job).iterdir():
            name = path.relative_to(finished_copy.folder).as_posix()
            mark = finished_copy.folder / ".snakemake/incomplete" / _mark(name)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text('{"external_jobid": null}')

    assert finished_copy.planned() == Counter()


def _mark(name: str) -> str:
    """Name the file by which Snakemake remembers that an output is being made."""
    return base64.urlsafe_b64encode(name.encode()).decode()


@pytest.fixture
def copy(clean_copy: Copy) -> Iterator[Copy]:
    """A copy in which nothing runs on after the test."""
    yield clean_copy
    for process in processes(clean_copy.folder):
        os.kill(process.pid, signal.SIGKILL)


@fault(
    "Processes",
    "two drivers of one study at once",
    "the second is refused; the first does not notice",
)
@fault(
    "Processes",
    "two studies of one folder at once",
    "both end well; each has results of its own",
)
@fault(
    "Processes",
    "`kill -9` of a driver whose job runs on, and a new driver beside it",
    "of two starts of one job the older one leaves, and the later one is published",
)
def test_drivers_do_not_disturb_each_other(copy):
    other = (copy.folder / "config/tiny.yaml").read_text().replace("study: tiny", "study: other")
    (copy.folder / "config/other.yaml").write_text(other)
    first = driver(copy)
    held = job_of(copy)
    os.kill(held.pid, signal.SIGSTOP)  # so that it is still there when the others come

    second = copy.run(*DRIVER, DATA, *STUDY)
    assert second.returncode == 1
    assert "cannot be locked" in second.stderr
    target = DATA.replace("/tiny/", "/other/")
    third = copy.run(*DRIVER, target, "--configfile", "config/other.yaml", "--no-hooks")
    assert third.returncode == 0, third.stderr
    # It has removed Snakemake's locks of both studies; ours stands.
    fourth = copy.run(*DRIVER, DATA, *STUDY)
    assert fourth.returncode == 1
    assert f"tiny: another call of snakemake is running it (process {first.pid} " in fourth.stderr
    assert first.poll() is None

    first.kill()
    first.wait()
    again = driver(copy, "--no-hooks")
    later = job_of(copy, held)
    os.kill(held.pid, signal.SIGCONT)

    assert again.wait(PATIENCE) == 0, (copy.folder / DATA).with_name("prepare.log").read_text()
    wait_for_end(copy)
    record = read_record((copy.folder / DATA).with_name("record.json"))
    assert later.job == held.job
    assert [start["reason"] for start in record["restarts"]] == ["unknown"]
    for entry in record["outputs"]:
        assert digest_file(copy.folder / entry["path"]).sha256 == entry["sha256"], entry["path"]
    same = ("manifest.parquet", "shards/train-00000.arrow")
    for name in same:
        one, two = ((copy.folder / path).with_name("x").parent / name for path in (DATA, target))
        assert one.read_bytes() == two.read_bytes()


def driver(copy: Copy, *options: str) -> "subprocess.Popen[bytes]":
    """A driver that is asked for the images."""
    command = [sys.executable, *DRIVER, DATA, *STUDY, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (copy.folder / "driver.log").open("a") as log:
        return subprocess.Popen(command, cwd=copy.folder, env=environment, stdout=log, stderr=log)


def job_of(copy: Copy, *known: Process) -> Process:
    """Wait for a job that is under way: it has opened its record."""
    limit = time.monotonic() + PATIENCE
    opened = copy.folder / "results/tiny/work/prepare/scenes/record.open.json"
    while time.monotonic() < limit:
        for process in processes(copy.folder):
            is_open = opened.exists() and json.loads(opened.read_text())["pid"] == process.pid
            if process not in known and is_open:
                return process
        time.sleep(0.02)
    raise AssertionError((copy.folder / "driver.log").read_text())


def wait_for_end(copy: Copy) -> None:
    """Wait until no job runs in the copy."""
    limit = time.monotonic() + PATIENCE
    while list(processes(copy.folder)):
        assert time.monotonic() < limit
        time.sleep(0.1)
