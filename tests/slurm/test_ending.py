"""What follows from what SLURM says of one job, look by look."""

from pathlib import Path

import pytest

from folk.evidence.core.files import write_json
from folk.slurm.ending import LOOKS, LOOKS_WITHOUT_SACCT, Verdict, Watched
from folk.slurm.ledger import Progress, Submission, progress_of
from folk.slurm.states import ENDED_BADLY, Seen

WAIT, FINISHED, FAILED = Verdict.WAIT, Verdict.FINISHED, Verdict.FAILED


def submission(step: int = 0) -> Submission:
    return Submission(
        job="17", name="run", rule="pretrain", wildcards="folk-s0", outputs={"out": "d"},
        log="17.log", work="work", step=step, submitted="2026-11-20T12:00:00+00:00",
    )  # fmt: skip


def looks(*words: str | None, sacct: bool = True, is_made: bool = False) -> list[Verdict]:
    watched = Watched(submission())
    seen = [None if word is None else Seen(word, "run") for word in words]
    return [watched.judge(one, sacct, is_made) for one in seen]


def test_a_job_that_runs_is_waited_for_until_it_completes():
    said = looks("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "COMPLETED")
    assert said == [WAIT, WAIT, WAIT, WAIT, FINISHED]


@pytest.mark.parametrize("word", sorted(ENDED_BADLY))
def test_no_bad_end_is_waited_for_for_ever(word: str):
    said = looks("RUNNING", *[word] * LOOKS)
    assert said[-1] is FAILED


def test_a_cancelled_job_is_not_looked_at_twice():
    assert looks("CANCELLED") == [FAILED]


def test_a_preempted_job_that_is_requeued_is_waited_for():
    said = looks("RUNNING", "PREEMPTED", "PREEMPTED", "PENDING", "RUNNING", "PREEMPTED", "RUNNING")
    assert said == [WAIT] * 7


def test_a_preempted_job_that_stays_so_ends():
    assert looks("RUNNING", *["PREEMPTED"] * LOOKS) == [WAIT] * LOOKS + [FAILED]


def test_a_vanished_job_ends_after_several_looks_in_a_row():
    missing = [None] * (LOOKS - 1)
    assert looks("RUNNING", *missing, "RUNNING", *missing, None) == [WAIT] * (2 * LOOKS) + [FAILED]


def test_a_vanished_job_that_left_its_result_has_finished():
    assert looks("RUNNING", *[None] * LOOKS, is_made=True)[-1] is FINISHED


@pytest.mark.parametrize("word", ["TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"])
def test_a_job_that_was_stopped_just_after_its_result_was_complete_has_finished(word: str):
    assert looks("RUNNING", *[word] * LOOKS, is_made=True)[-1] is FINISHED


@pytest.mark.parametrize("word", ["FAILED", "CANCELLED", "OUT_OF_MEMORY"])
def test_a_job_that_failed_has_failed_whatever_lies_there(word: str):
    assert looks("RUNNING", word, is_made=True)[-1] is FAILED


def test_a_job_is_given_up_more_slowly_while_accounting_is_away():
    said = looks(*[None] * LOOKS_WITHOUT_SACCT, sacct=False)
    assert said == [WAIT] * (LOOKS_WITHOUT_SACCT - 1) + [FAILED]


def test_another_job_under_a_reused_id_is_not_ours():
    watched = Watched(submission())
    said = [watched.judge(Seen("RUNNING", "of somebody"), True, False) for _ in range(LOOKS)]
    assert said[-1] is FAILED
    assert "VANISHED" in watched.complaint()


@pytest.mark.parametrize(
    ("word", "stopped", "step", "goes_on"),
    [
        ("TIMEOUT", False, 11, True),
        ("TIMEOUT", False, 10, False),
        ("PREEMPTED", False, 11, True),
        ("NODE_FAIL", False, 11, True),
        ("FAILED", True, 11, True),
        ("FAILED", True, 10, False),
        ("FAILED", False, 11, False),
        ("CANCELLED", True, 11, False),
        ("OUT_OF_MEMORY", False, 11, False),
    ],
)
def test_only_a_job_that_was_stopped_and_got_further_goes_on(
    word: str, stopped: bool, step: int, goes_on: bool
):
    watched = Watched(submission(step=10), word=word)
    assert watched.goes_on(Progress(step, stopped)) is goes_on


def test_progress_is_read_from_the_growing_state(tmp_path: Path):
    assert progress_of(None) == progress_of(str(tmp_path)) == Progress(0, False)
    write_json(tmp_path / "progress.json", {"step": 40})
    write_json(tmp_path / "record.open.json", {"outcome": "interrupted"})
    assert progress_of(str(tmp_path)) == Progress(40, True)
    (tmp_path / "progress.json").write_text('{"st')
    assert progress_of(str(tmp_path)) == Progress(0, True)


def test_a_complaint_names_the_job_its_end_and_what_to_do():
    said = Watched(submission(), word="OUT_OF_MEMORY").complaint()
    assert said.startswith("SLURM job 17 (pretrain folk-s0) ended: OUT_OF_MEMORY; raise resources")
