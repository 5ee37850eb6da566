"""What squeue and sacct say is read as it is meant, and their silence is never an answer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from folk.slurm.states import NoAnswerError, in_accounts, in_queue

Says = Callable[..., None]
# Every state of sacct(1) and squeue(1), and whether a job in it is still to end.
WORDS = {
    "PENDING": True, "RUNNING": True, "SUSPENDED": True, "CONFIGURING": True, "COMPLETING": True,
    "REQUEUED": True, "REQUEUE_HOLD": True, "REQUEUE_FED": True, "RESIZING": True,
    "RESV_DEL_HOLD": True, "SIGNALING": True, "SPECIAL_EXIT": True, "STAGE_OUT": True,
    "STOPPED": True, "A_WORD_OF_TOMORROW": True,
    "COMPLETED": False, "BOOT_FAIL": False, "CANCELLED": False, "DEADLINE": False,
    "FAILED": False, "LAUNCH_FAILED": False, "NODE_FAIL": False, "OUT_OF_MEMORY": False,
    "PREEMPTED": False, "RECONFIG_FAIL": False, "REVOKED": False, "TIMEOUT": False,
}  # fmt: skip


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Put a program on PATH that prints this, and keeps what it was called with."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(program: str, out: str = "", error: str = "", status: int = 0) -> None:
        (tmp_path / f"{program}.out").write_text(out)
        (tmp_path / f"{program}.err").write_text(error)
        file = tmp_path / program
        here = f"{tmp_path}/{program}"
        file.write_text(
            f'#!/bin/sh\necho "$@" >> {here}.calls\ncat {here}.err >&2\ncat {here}.out\n'
            f"exit {status}\n"
        )
        file.chmod(0o755)

    return make


@pytest.mark.parametrize(("word", "is_live"), WORDS.items())
def test_every_word_says_whether_the_job_lives(says: Says, word: str, is_live: bool):
    says("squeue", f"17|{word}|run|/home/me|rule_train\n")
    seen = in_queue()["17"]
    assert (seen.word, seen.is_live) == (word, is_live)
    assert (seen.name, seen.folder, seen.comment) == ("run", "/home/me", "rule_train")


@pytest.mark.parametrize("said", ["CANCELLED by 0", "CANCELLED by 1000", "CANCELLED+"])
def test_accounting_says_more_than_the_word(says: Says, said: str):
    says("sacct", f"17|{said}|run\n")
    assert in_accounts(["17"])["17"].word == "CANCELLED"


def test_the_last_start_of_a_requeued_job_counts(says: Says):
    says("sacct", "17|PREEMPTED|run\n17|COMPLETED|run\n")
    assert in_accounts(["17"])["17"].word == "COMPLETED"


def test_a_comment_may_hold_anything(says: Says):
    says("squeue", "17|RUNNING|run|/w|rule_a_wildcards_b|c\n18|PENDING|run|/w|(null)\n")
    assert in_queue()["17"].comment == "rule_a_wildcards_b|c"


def test_many_jobs_are_one_question(says: Says, tmp_path: Path):
    says("squeue", "".join(f"{job}|RUNNING|run|/w|rule\n" for job in range(200)))
    says("sacct", "")
    assert len(in_queue()) == 200
    in_accounts([str(job) for job in range(200)])
    assert len((tmp_path / "squeue.calls").read_text().splitlines()) == 1
    assert len((tmp_path / "sacct.calls").read_text().splitlines()) == 1


def test_a_site_without_accounting_remembers_nothing(says: Says):
    says("sacct", error="Slurm accounting storage is disabled\n", status=1)
    assert in_accounts(["17"]) == {}


def test_a_site_without_sacct_remembers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert in_accounts(["17"]) == {}


def test_accounting_is_not_asked_about_nothing(says: Says, tmp_path: Path):
    says("sacct", error="must not be called", status=1)
    assert in_accounts([]) == {}
    assert not (tmp_path / "sacct.calls").exists()


@pytest.mark.parametrize(
    "error",
    [
        "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection"
        " to host:dbd:6819: Connection refused",
        "sacct: error: Problem talking to the database: Connection refused",
    ],
)
def test_a_slurmdbd_that_is_away_gives_no_answer(says: Says, error: str):
    says("sacct", error=error, status=1)
    with pytest.raises(NoAnswerError, match="Connection refused"):
        in_accounts(["17"])


def test_a_slurmctld_that_is_away_gives_no_answer(says: Says):
    error = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
    says("squeue", error=error, status=1)
    with pytest.raises(NoAnswerError, match="Unable to contact slurm controller"):
        in_queue()


def test_a_service_that_hangs_gives_no_answer(
    says: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    says("squeue")
    (tmp_path / "squeue").write_text("#!/bin/sh\nexec sleep 20\n")
    monkeypatch.setattr("folk.slurm.states.SECONDS", 0.2)
    with pytest.raises(NoAnswerError, match="did not answer"):
        in_queue()


def test_an_empty_queue_is_an_answer(says: Says):
    says("squeue")
    assert in_queue() == {}


def test_a_missing_squeue_gives_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoAnswerError, match="squeue: No such file"):
        in_queue()


def test_a_line_that_is_no_row_gives_no_answer(says: Says):
    says("squeue", "17|RUNNING|run|/w|rule\nslurm: hello, this is maintenance\n")
    with pytest.raises(
        NoAnswerError, match="squeue: invalid line: slurm: hello, this is maintenance"
    ):
        in_queue()
