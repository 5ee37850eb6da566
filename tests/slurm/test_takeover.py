"""What a new driver makes of the jobs that an earlier one has left."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from folk.slurm import driver_note
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
    """A folder that snakemake has locked; gives the place of the notes."""
    monkeypatch.chdir(tmp_path)
    driver_note.LOCKS.mkdir(parents=True)
    (driver_note.LOCKS / "0.input.lock").touch()
    return driver_note.NOTES


@fault(
    "Processes",
    "a driver on a cluster that was killed has left its lock",
    "the next call says whether it lives, and to call `--unlock` if not",
)
def test_a_lock_of_a_dead_driver_is_told_from_that_of_a_live_one(locked: Path):
    script = "import folk.slurm.driver_note as d; d.leave_note(); print(flush=True); input()"
    driver = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert driver.stdout is not None
    driver.stdout.readline()
    assert "is running in this folder; do not unlock" in driver_note.describe_lock()[0]
    driver.kill()
    driver.wait()
    assert "call snakemake once with --unlock" in driver_note.describe_lock()[0]


def test_a_driver_of_another_host_is_to_be_looked_for_there(locked: Path):
    note = driver_note.leave_note()
    said = json.loads(note.read_text()) | {"host": f"not-{socket.gethostname()}"}
    note.write_text(json.dumps(said))
    assert "check on that host that it is gone" in driver_note.describe_lock()[0]


def test_without_a_lock_there_is_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    driver_note.leave_note()
    assert driver_note.describe_lock() == []


def test_notes_of_dead_drivers_are_forgotten(locked: Path):
    note = driver_note.leave_note()
    dead = note.with_name("dead.json")
    dead.write_text(json.dumps(json.loads(note.read_text()) | {"began": "1"}))
    driver_note.leave_note()
    assert sorted(locked.glob("*.json")) == [note]
