"""A job leaves exactly one record, whatever its end, and a restart remembers its beginnings."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import failed_folder, work_folder
from folk.evidence.record.lineage import scale_of
from folk.evidence.record.record import OPEN_NAME
from folk.evidence.record.schema import FORMATS, SCHEMA_PATH, read_record, record_id, write_record
from tests.faults.table import fault
from tests.toy import git

ROOT = Path(__file__).parents[2]
WORK = Path("results/demo/work/pretrain/folk-s0")
FAILED = Path("results/demo/failed/pretrain/folk-s0")
RESULT = Path("results/demo/pretrain/folk-s0")


def finish(record, content="weights", **metrics):
    made = record.work / "encoder.safetensors"
    made.write_text(content)
    declared = RESULT / "encoder.safetensors"
    outputs = {"encoder": declared}
    return record.finish(outputs, metrics, RESULT / "record.json", {made: declared})


def killed(job, **changes):
    """Leave what a job killed outright leaves: the open record, and nothing about its end."""
    with contextlib.suppress(KeyboardInterrupt), job(**changes):
        opened, kept = (WORK / OPEN_NAME).read_text(), set(FAILED.glob("record-*"))
        raise KeyboardInterrupt
    for path in set(FAILED.glob("record-*")) - kept:
        path.unlink()
    (WORK / OPEN_NAME).write_text(opened)
    return json.loads(opened)


def failures():
    return [read_record(path) for path in sorted(FAILED.glob("record-*.failed.json"))]


def test_a_finished_job_is_recorded_with_what_it_made(job):
    with job() as record:
        assert (WORK / OPEN_NAME).is_file()
        finish(record, "weights", loss=0.5)

    found = read_record(RESULT / "record.json")
    assert found["outcome"] == "finished"
    assert found["metrics"] == {"loss": 0.5}
    assert found["outputs"] == [
        {
            "name": "encoder",
            "path": "results/demo/pretrain/folk-s0/encoder.safetensors",
            "size": 7,
            "sha256": hashlib.sha256(b"weights").hexdigest(),
            "md5": hashlib.md5(b"weights").hexdigest(),
        }
    ]
    assert (RESULT / "encoder.safetensors").read_text() == "weights"
    assert not (WORK / OPEN_NAME).exists()
    assert failures() == []


def test_the_id_is_the_digest_of_the_rest_and_moves_with_any_edit(job):
    with job() as record:
        given = finish(record, loss=0.5)

    found = read_record(RESULT / "record.json")
    assert given == found["id"] == record_id(found)
    found["metrics"]["loss"] = 0.4
    assert record_id(found) != found["id"]


def test_a_failed_job_keeps_its_evidence_and_raises_on(job):
    with pytest.raises(InputError, match="no such class"), job():
        raise InputError("no such class")

    (failed,) = failures()
    assert failed["outcome"] == "failed"
    assert failed["error"] == {"type": "InputError", "message": "no such class"}
    assert failed["id"] == record_id(failed)
    assert not (RESULT / "record.json").exists()


def test_a_failure_outlives_the_work_folder_and_an_evaluation_has_its_own_place(job):
    work, fields = Path("r/work/finetune/folk-s0/few"), {"stage": "finetune", "run": "folk-s0"}
    with pytest.raises(RuntimeError), job():
        raise RuntimeError("lost")

    shutil.rmtree(Path("results/demo/work"))
    assert [failure["outcome"] for failure in failures()] == ["failed"]
    placed = failed_folder(work, fields | {"evaluation": "few"})
    assert placed == Path("r/failed/finetune/folk-s0/few")
    assert work_folder(placed, fields | {"evaluation": "few"}) == work


def test_the_failure_of_a_job_started_by_hand_stays_beside_its_state():
    fields = {"stage": "pretrain", "run": "folk-s0", "evaluation": None}

    for work in (Path("mine.work"), Path("/work/mine.work"), Path("work/pretrain/mfm-s0")):
        assert failed_folder(work, fields) == work


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(75)])
def test_a_stop_from_outside_is_interrupted_and_not_failed(job, stop):
    with pytest.raises(type(stop)), job():
        raise stop

    assert failures()[0]["outcome"] == "interrupted"


def test_a_missing_output_leaves_no_record_of_success(job):
    with pytest.raises(InputError, match="cannot be read"), job() as record:
        record.finish({"encoder": RESULT / "encoder.safetensors"}, {}, RESULT / "record.json")

    assert not (RESULT / "record.json").exists()
    assert failures()[0]["outcome"] == "failed"


def test_a_block_that_forgets_to_finish_is_a_mistake_of_ours(job):
    with pytest.raises(AssertionError, match="must call finish"), job():
        pass


def test_a_metric_that_is_not_finite_is_refused(job):
    with pytest.raises(ValueError, match=r"(?i)nan"), job() as record:
        finish(record, loss=float("nan"))

    assert not (RESULT / "encoder.safetensors").exists()


def test_a_restart_lists_the_start_that_was_killed_with_its_last_step(job):
    started = killed(job)["started"]
    (WORK / "progress.json").write_text('{"step": 120}')

    with job() as record:
        finish(record)

    (restart,) = read_record(RESULT / "record.json")["restarts"]
    assert (restart["started"], restart["reason"], restart["ended"]) == (started, "unknown", None)
    assert restart["last_step"] == 120


def test_restarts_are_listed_oldest_first_with_their_reasons(job, monkeypatch):
    for number, error in enumerate([RuntimeError("lost"), SystemExit(75)]):
        monkeypatch.setenv("SLURM_JOB_ID", str(number))
        with pytest.raises(type(error)), job():
            raise error
    with job() as record:
        finish(record)

    restarts = read_record(RESULT / "record.json")["restarts"]
    assert [(r["reason"], r["job_id"]) for r in restarts] == [("failed", "0"), ("interrupted", "1")]
    assert [f["outcome"] for f in failures()] == ["failed", "interrupted"]
    assert all(r["ended"] for r in restarts)


def test_a_restart_tells_why_it_ended_and_over_what_it_was_spread(job, monkeypatch):
    monkeypatch.setattr("folk.evidence.record.record.ended_as", lambda job: job and f"end of {job}")
    errors = [
        RuntimeError("x" * 301 + "\nmore"),
        SystemExit(128 + signal.SIGTERM),
        KeyboardInterrupt(),
    ]
    for number, error in enumerate(errors, start=1):
        monkeypatch.setenv("WORLD_SIZE", str(number))
        monkeypatch.setenv("SLURM_JOB_ID", f"7{number}")
        with pytest.raises(type(error)), job(threads=number):
            raise error
    with job() as record:
        finish(record)

    restarts = read_record(RESULT / "record.json")["restarts"]
    lost = f"RuntimeError: {300 * 'x'}"
    assert [r["why"] for r in restarts] == [lost, "SIGTERM", "KeyboardInterrupt"]
    assert [r["slurm_state"] for r in restarts] == ["end of 71", "end of 72", "end of 73"]
    assert [r["geometry"]["world_size"] for r in restarts] == [1, 2, 3]
    assert [r["geometry"]["threads"] for r in restarts] == [1, 2, 3]


@fault(
    "Processes",
    "SIGTERM twice",
    "the record of the interrupted job is still written",
)
def test_a_second_sigterm_does_not_cut_the_evidence_off(job, monkeypatch):
    from folk.evidence.record import record as module

    write = module.write_record

    def interrupted(path, fields):
        os.kill(os.getpid(), signal.SIGTERM)
        write(path, fields)

    monkeypatch.setattr(module, "write_record", interrupted)
    with pytest.raises(SystemExit), job():
        raise SystemExit(75)

    assert failures()[0]["outcome"] == "interrupted"


def test_a_finished_job_has_no_restarts_when_it_is_run_again(job):
    for _ in range(2):
        with job() as record:
            finish(record)

    assert read_record(RESULT / "record.json")["restarts"] == []


def test_another_recipe_does_not_inherit_a_start_but_the_start_is_kept(job):
    killed(job, recipe_digest="old")

    with job(recipe_digest="new") as record:
        finish(record)

    assert read_record(RESULT / "record.json")["restarts"] == []
    (abandoned,) = failures()
    assert (abandoned["recipe_digest"], abandoned["outcome"]) == ("old", "interrupted")
    assert abandoned["ended"] is None


def test_a_start_whose_checkpoint_is_not_continued_is_no_restart(job):
    killed(job, identity="old code")
    killed(job, identity="new code")

    with job(identity="new code") as record:
        finish(record)

    restarts = read_record(RESULT / "record.json")["restarts"]
    assert [restart["reason"] for restart in restarts] == ["unknown"]
    assert "no end was recorded" in failures()[0]["error"]["message"]


@fault(
    "Bytes",
    "a damaged record of a job that was under way",
    "the next start begins, and lists no start before it",
    lost="the mention of the earlier start",
)
def test_a_half_written_open_record_does_not_stop_the_next_start(job):
    WORK.mkdir(parents=True)
    (WORK / OPEN_NAME).write_text('{"started": "2026')

    with job() as record:
        finish(record)

    assert read_record(RESULT / "record.json")["restarts"] == []


@fault(
    "Processes",
    "a job is ended from outside",
    "its start, its last step and its end stand in the next record or in `failed/`",
)
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_killed_from_outside_leaves_its_trace(here, sign):
    code = f"""
import time
from pathlib import Path
from folk.evidence.record.record import open_record
with open_record(Path("{WORK}"), study="demo", stage="pretrain", run="folk-s0", evaluation=None,
                 argv=[], recipe={{}}, recipe_digest="d", seed=0, inputs={{}}, code="c" * 64,
                 scale="demo"):
    print("open", flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"open\n"
        time.sleep(0.1)
        process.send_signal(sign)

    assert (WORK / OPEN_NAME).is_file()
    if sign == signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM
        assert failures()[0]["outcome"] == "interrupted"
    else:
        assert failures() == []


def test_the_answer_to_sigterm_is_put_back(job):
    before = signal.getsignal(signal.SIGTERM)
    with job() as record:
        assert signal.getsignal(signal.SIGTERM) is not before
        finish(record)

    assert signal.getsignal(signal.SIGTERM) is before


def test_uncommitted_code_is_kept_beside_the_record(here, job):
    git("init", "-q")
    (here / "code.py").write_text("x = 1\n")
    with job() as record:
        finish(record)
    assert read_record(RESULT / "record.json")["code"]["dirty"] is True
    assert "new file code.py" in (RESULT / "uncommitted.diff").read_text()

    git("add", "code.py")
    git("commit", "-qm", "x")
    with job() as record:
        finish(record)

    assert read_record(RESULT / "record.json")["code"]["dirty"] is False
    assert not (RESULT / "uncommitted.diff").exists()


def test_uncommitted_code_is_kept_beside_a_failure_too(here, job):
    git("init", "-q")
    (here / "code.py").write_text("x = 1\n")
    with pytest.raises(RuntimeError), job():
        raise RuntimeError("lost")

    (kept,) = FAILED.glob("record-*.failed.json")
    assert re.fullmatch(r"record-\d{8}T\d{6}\.\d{6}Z\.failed\.json", kept.name)
    diff = kept.with_suffix(".diff").read_bytes()
    assert b"new file code.py" in diff
    digest = read_record(kept)["code"]["dirty_diff_sha256"]
    assert digest == hashlib.sha256(diff).hexdigest()


def test_the_scale_of_a_file_is_that_of_the_job_that_made_it(job):
    with job(scale="smoke") as record:
        finish(record)

    assert scale_of(RESULT / "encoder.safetensors") == "smoke"
    assert scale_of(RESULT / "shards/a.arrow") == "smoke"
    assert scale_of(RESULT / "far/shards/a.arrow") is None


def test_the_format_of_records_is_that_of_their_schema():
    assert json.loads(SCHEMA_PATH.read_text())["properties"]["format"]["enum"] == [*FORMATS]


def test_a_record_that_breaks_the_schema_is_refused_with_its_field(job):
    with job() as record:
        finish(record)
    found = read_record(RESULT / "record.json")
    found["outcome"] = "splendid"
    (RESULT / "record.json").write_text(json.dumps(found))

    with pytest.raises(InputError, match=r"record\.json: invalid record: outcome: 'splendid'"):
        read_record(RESULT / "record.json")
    with pytest.raises(AssertionError, match="outcome"):
        write_record(RESULT / "record.json", found)


@fault("Services", "records of a format that this code does not know",
       "refused by file and format; what made them can read them")  # fmt: skip
def test_a_recipe_with_a_number_that_json_does_not_hold_ends_the_job_at_its_start(job):
    with pytest.raises(InputError, match=r"recipe: .*9007199254740993"):
        job(recipe={"seed": 2**53 + 1}).__enter__()


@pytest.mark.parametrize("number", [0, 3])
def test_a_record_of_another_format_is_refused_with_what_to_do(job, number):
    with job() as record:
        finish(record)
    found = read_record(RESULT / "record.json") | {"format": number, "new": "key"}
    (RESULT / "record.json").write_text(json.dumps(found))

    with pytest.raises(InputError, match=f"expected a record of format 2, got {number}; use the"):
        read_record(RESULT / "record.json")


@fault(
    "Processes",
    "two starts of one job, such as after the loss of a node",
    "the older one leaves with status 75 and publishes nothing",
)
def test_a_start_on_a_lost_node_leaves_when_another_has_taken_over(job):
    lost = job()
    early = lost.__enter__()
    with job() as record:
        with pytest.raises(SystemExit, match="another start of this job has taken over"):
            early.check_is_latest()
        with pytest.raises(SystemExit) as left:
            finish(early, "of the lost node")
        assert left.value.code == 75
        assert not lost.__exit__(SystemExit, left.value, None)
        record.check_is_latest()
        finish(record, "of the new one")

    assert (RESULT / "encoder.safetensors").read_text() == "of the new one"
    assert read_record(RESULT / "record.json")["outcome"] == "finished"
    assert [failure["outcome"] for failure in failures()] == ["interrupted"]
    assert "another start" in failures()[0]["error"]["message"]


def exchanged(path: Path, content: str) -> None:
    path.unlink()
    path.write_text(content)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: exchanged(path, "imagos"), "changed while the job ran"),
        (lambda path: path.unlink(), "removed while the job ran"),
    ],
)
def test_a_job_whose_input_is_another_at_its_end_fails_and_publishes_nothing(job, change, says):
    data = Path("images.tar")
    data.write_text("images")

    def do():
        with job(inputs={"archive": data}) as record:
            change(data)
            finish(record)

    with pytest.raises(InputError, match=rf"images\.tar: {says}"):
        do()

    assert not RESULT.exists()
    assert [failure["outcome"] for failure in failures()] == ["failed"]


def test_an_input_that_was_exchanged_and_put_back_is_marked_in_the_record(job):
    data, other = Path("images.tar"), Path("other.tar")
    data.write_text("images")
    other.write_text("others")

    with job(inputs={"archive": data, "other": other}) as record:
        data.rename("aside")
        data.write_text("lies")
        Path("aside").rename(data)
        finish(record)

    found = read_record(RESULT / "record.json")["inputs"]
    assert [entry.get("replaced") for entry in found] == [True, None]


@fault(
    "Bytes",
    "a shard or another input that changes while a job reads it",
    "the job fails by name; if the same bytes are back, its record says `replaced`",
    lost="the job",
)
@pytest.mark.parametrize("back", [True, False])
def test_a_shard_that_was_exchanged_while_a_job_ran_is_noticed(job, back):
    shard = Path("scenes/shards/val-00000.arrow")
    shard.parent.mkdir(parents=True)
    shard.write_text("images")
    sha256 = hashlib.sha256(b"images").hexdigest()
    description = Path("scenes/dataset.json")
    description.write_text(json.dumps({"shards": {shard.name: {"sha256": sha256}}}))
    refused = (
        contextlib.nullcontext() if back else pytest.raises(InputError, match="arrow: changed")
    )

    with refused, job(inputs={"dataset": description}) as record:
        exchanged(shard, "others")
        if back:
            exchanged(shard, "images")
        finish(record)

    assert [e.get("replaced") for e in record.fields["inputs"]] == [True if back else None]


def test_a_recipe_that_was_edited_while_a_job_ran_is_compared_by_value_and_not_here(job):
    recipe = Path("recipe.yaml")
    recipe.write_text("a: 1")

    with job(inputs={"pretrain-recipe": recipe}) as record:
        recipe.write_text("a: 2")
        finish(record)

    assert "replaced" not in read_record(RESULT / "record.json")["inputs"][0]
