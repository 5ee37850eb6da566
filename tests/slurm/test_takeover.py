"""What a new driver makes of the jobs that an earlier one has left."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from folk.slurm import study_lock
from folk.slurm.ledger import Ledger, Submission
from folk.slurm.states import Seen
from folk.slurm.takeover import Takeover, Wanted, not_noted, take_over
from tests.faults.table import fault

JOB = Wanted(outputs=("out",), digest="d", is_needed=True, reads_new=False, is_made=False)
MADE = replace(JOB, is_made=True)
OWED = Submission(
    job="17", name="run", rule="pretrain", wildcards="folk-s0", outputs={"out": "d"},
    log="17.log", work=None, step=0, submitted="2026-11-20T12:00:00+00:00",
)  # fmt: skip
RUNNING, COMPLETED = Seen("RUNNING", "run"), Seen("COMPLETED", "run")


def decide(job: Wanted, seen: Seen | None, owed: Submission = OWED) -> Takeover:
    return take_over([(job, [owed])], {} if seen is None else {"17": seen})


def test_a_live_job_is_attached_to():
    assert decide(JOB, RUNNING) == Takeover(attach={"out": OWED})


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (replace(JOB, digest="other"), "from other values, code or inputs"),
        (replace(JOB, reads_new=True), "reads results that are to be made again"),
        (replace(JOB, is_needed=False), "would make existing results again"),
    ],
)
def test_a_live_job_that_makes_something_else_is_refused_with_what_to_do(job: Wanted, reason: str):
    found = decide(job, RUNNING)
    assert found.attach == {}
    assert len(found.refusals) == 1
    assert reason in found.refusals[0]
    assert found.refusals[0].endswith("scancel 17")


def test_two_live_jobs_for_one_result_are_one_too_many():
    newer = replace(OWED, job="18")
    found = take_over([(JOB, [newer, OWED])], {"17": RUNNING, "18": RUNNING})
    assert found.attach == {"out": newer}
    assert "scancel 17" in found.refusals[0]


@pytest.mark.parametrize("seen", [COMPLETED, None])
def test_a_result_that_was_finished_unseen_is_kept(seen: Seen | None):
    assert decide(MADE, seen) == Takeover(made={"out": OWED})
    done = replace(MADE, is_needed=False)
    assert decide(done, seen) == Takeover(done=[(done, OWED)])


@pytest.mark.parametrize("job", [JOB, replace(JOB, is_needed=False)])
def test_a_completed_job_whose_results_are_gone_is_over(job: Wanted):
    assert decide(job, COMPLETED) == Takeover(over=[(OWED, "COMPLETED")])


def test_a_result_of_other_values_that_was_finished_unseen_is_outdated():
    other = replace(MADE, digest="other", is_needed=False)
    assert decide(other, COMPLETED) == Takeover(outdated=[(other, OWED)])


@pytest.mark.parametrize("word", ["FAILED", "CANCELLED", "TIMEOUT"])
def test_a_job_that_failed_unseen_is_over(word: str):
    assert decide(MADE, Seen(word, "run")) == Takeover(over=[(OWED, word)])


def test_an_id_that_was_given_out_again_is_no_live_job_of_ours():
    assert decide(JOB, Seen("RUNNING", "of somebody")) == Takeover(over=[(OWED, "VANISHED")])


def test_a_live_job_that_no_ledger_knows_is_told_of():
    queue = {
        "17": Seen("RUNNING", "run", "/here", "rule_pretrain_wildcards_folk-s0"),
        "18": Seen("RUNNING", "run", "/there", "rule_pretrain_wildcards_folk-s0"),
        "19": Seen("FAILED", "run", "/here", "rule_pretrain_wildcards_folk-s0"),
        "20": Seen("RUNNING", "run", "/here", "rule_pretrain_wildcards_folk-s0"),
        "21": Seen("RUNNING", "run", "/here", "rule_pretrain_wildcards_mfm-s0"),
    }
    lines = not_noted(queue, "/here", {"rule_pretrain_wildcards_folk-s0"}, {"20"})
    assert len(lines) == 1
    assert lines[0].endswith("scancel 17")


def test_the_ledger_owes_an_end_until_one_is_noted(tmp_path: Path):
    ledger = Ledger(tmp_path)
    assert ledger.owed() == []
    newer = replace(OWED, job="18", submitted="2026-11-20T13:00:00+00:00")
    ledger.open(OWED)
    ledger.open(newer)
    assert ledger.owed() == [newer, OWED]
    ledger.close(OWED, "COMPLETED")
    assert ledger.owed() == [newer]
    assert ledger.knows("17")
    assert not ledger.knows("19")
    assert json.loads((tmp_path / "ended/17.json").read_text())["end"] == "COMPLETED"


def test_a_damaged_ledger_is_not_taken_for_an_empty_one(tmp_path: Path):
    (tmp_path / "17.json").write_text("{}")
    with pytest.raises(ValueError, match=r"17\.json: invalid submission.*delete the file"):
        Ledger(tmp_path).owed()


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that snakemake has locked; gives the lock of the study `tiny`."""
    monkeypatch.chdir(tmp_path)
    study_lock.LOCKS_OF_SNAKEMAKE.mkdir(parents=True)
    (study_lock.LOCKS_OF_SNAKEMAKE / "0.input.lock").touch()
    return study_lock.LOCKS / "tiny.lock"


def driver_of(study: str, then: str) -> subprocess.Popen[bytes]:
    """Start a process that holds a study, says so, and goes on with `then`."""
    script = (
        f"from folk.slurm.study_lock import *; hold_study({study!r}); print(flush=True); {then}"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert driver.stdout is not None
    driver.stdout.readline()
    return driver


@fault(
    "Processes",
    "a driver that was killed has left Snakemake's lock",
    "the next call says whether it lives, and to call `--unlock` if not",
)
def test_a_lock_of_a_dead_driver_is_told_from_that_of_a_live_one(locked: Path):
    driver = driver_of("tiny", "input()")
    assert "is running in this folder; do not unlock" in study_lock.describe_lock()[0]
    driver.kill()
    driver.wait()
    (line,) = study_lock.describe_lock()
    assert line.startswith(f"tiny: its driver (process {driver.pid} on ")
    assert "call snakemake once with --unlock" in line


def test_a_driver_of_another_host_is_to_be_looked_for_there(locked: Path):
    locked.parent.mkdir()
    locked.write_text(f"process 7 on not-{socket.gethostname()} since 2026\n")
    assert "check on that host that it is gone" in study_lock.describe_lock()[0]


def test_without_a_lock_there_is_nothing_to_say(locked: Path):
    study_lock.hold_study("tiny")
    (study_lock.LOCKS_OF_SNAKEMAKE / "0.input.lock").unlink()
    assert study_lock.describe_lock() == []


@pytest.mark.parametrize("end", ["sys.exit(1)", "raise KeyboardInterrupt", "pass"])
def test_a_driver_that_ended_by_itself_is_not_named(locked: Path, end: str):
    driver_of("tiny", f"import sys; {end}" if "sys" in end else end).wait()
    assert locked.read_text() == ""
    assert study_lock.describe_lock() == []
