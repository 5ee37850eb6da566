"""What a tracking server is told is what records and histories say."""

import copy
import json

import pytest

from folk.evidence.adapters.mlflow_replay import (
    VALUE_LENGTH,
    history_of,
    milliseconds,
    records_of,
    spelt,
    tags_of,
)
from folk.evidence.record.schema import record_id
from tests.faults.parsers import RECORD

STARTED = 1767323045.000006  # RECORD's, in seconds; it ended four seconds later


def changed(**values):
    record = {**copy.deepcopy(RECORD), **values}
    return {**record, "id": record_id(record)}


def put(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path


def test_records_are_those_of_finished_and_failed_jobs_but_not_growing_state(tmp_path):
    failed = changed(outcome="failed", error={"type": "E", "message": "m"}, outputs=[])
    done = put(tmp_path / "pretrain/folk-s0/record.json", RECORD)
    lost = put(tmp_path / "failed/pretrain/folk-s1/record-20260102.failed.json", failed)
    put(tmp_path / "work/pretrain/folk-s0/record.json", RECORD)
    broken = put(tmp_path / "finetune/folk-s0/full/record.json", {"format": 1})

    records, unreadable = records_of(tmp_path)

    assert records == [(lost, failed), (done, RECORD)]
    assert len(unreadable) == 1
    assert str(broken) in unreadable[0]


def test_tags_are_what_one_searches_by_and_nothing_unknown():
    assert tags_of(RECORD) == {
        "folk.study": "demo",
        "folk.stage": "pretrain",
        "folk.run": "folk-s0",
        "folk.scale": "demo",
        "folk.seed": 0,
        "folk.outcome": "finished",
        "folk.recipe_digest": "d1",
        "folk.code_fingerprint": "a" * 64,
        "folk.dirty": False,
        "folk.environment_lock": "a" * 64,
        "folk.encoder": "a" * 64,
        "folk.restarts": 0,
        "folk.host": "h",
        "folk.job_id": "17",
        "mlflow.source.name": "python -m folk pretrain",
        "mlflow.source.type": "LOCAL",
    }


def test_tags_of_a_failure_tell_its_error_its_parents_and_its_commit():
    code = {**RECORD["code"], "commit": "c0ffee", "dirty": True}
    record = changed(
        outcome="failed",
        error={"type": "RuntimeError", "message": "lost"},
        parents=["b" * 64],
        evaluation="full",
        code=code,
        scheduler=None,
        outputs=[],
        inputs=[{**RECORD["inputs"][0], "path": "results/x/dataset.json"}],
    )

    tags = tags_of(record)

    assert tags["folk.error"] == "RuntimeError: lost"
    assert tags["folk.parents"] == ["b" * 64]
    assert (tags["folk.evaluation"], tags["folk.dirty"]) == ("full", True)
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert {"folk.encoder", "folk.job_id"} & tags.keys() == set()


def test_an_encoder_that_was_made_goes_before_one_that_was_read():
    made = {**RECORD["outputs"][0], "sha256": "e" * 64}

    assert tags_of(changed(outputs=[made]))["folk.encoder"] == "e" * 64


def history(folder, *lines):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("\n".join(lines))


def line(step, seconds, **values):
    return json.dumps({"step": step, "time": STARTED + seconds, **values})


def test_a_finished_jobs_history_is_told_whole_but_for_half_lines(tmp_path):
    lines = (line(1, -50, loss=0.5), '{"step": 2, "ti', '{"time": 1}', line(3, 1, loss=0.25))
    history(tmp_path, *lines)

    told = list(history_of(tmp_path / "record.json", RECORD))

    first = milliseconds(RECORD["started"])
    assert told == [(1, first - 50_000, {"loss": 0.5}), (3, first + 1000, {"loss": 0.25})]
    assert list(history_of(tmp_path / "none/record.json", RECORD)) == []


def test_of_a_failed_job_only_the_lines_of_its_own_start_count(tmp_path):
    record = changed(outcome="failed", error={"type": "E", "message": "m"})
    failed = tmp_path / "failed/pretrain/folk-s0/record-1.failed.json"
    history(
        tmp_path / "work/pretrain/folk-s0",
        *(line(step, second) for step, second in ((1, -0.01), (2, 0.001), (3, 4.0), (4, 4.01))),
    )

    assert [step for step, _, _ in history_of(failed, record)] == [2, 3]
    assert list(history_of(failed, {**record, "ended": None})) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [("word", "word"), (3, "3"), ([1, None], "[1, null]"), (True, "true"), ({"a": 1}, '{"a": 1}')],
)
def test_a_value_is_spelt_as_json_and_a_text_as_it_is(value, text):
    assert spelt(value) == text


def test_a_value_is_cut_where_the_server_would_refuse_it():
    longest = "x" * VALUE_LENGTH

    assert VALUE_LENGTH == 6000
    assert spelt(longest) == longest
    assert spelt(longest + "x") == "x" * (VALUE_LENGTH - 3) + "..."


def test_a_moment_is_counted_in_milliseconds_since_1970():
    assert milliseconds("1970-01-01T00:00:01.500000Z") == 1500
