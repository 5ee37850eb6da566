"""The chain finds who made what, and says where it is broken."""

import json
from pathlib import Path

import pytest

from folk.evidence.audit.chain import Chain
from folk.evidence.core.errors import InputError
from folk.evidence.record.record import open_record

RESULTS = Path("results/demo")


def run_job(stage: str, run: str, inputs: dict[str, Path], output: str, text: str) -> Path:
    """Do a job that writes one file and leaves its record; returns the file."""
    out, work = RESULTS / stage / run, RESULTS / "work" / stage / run
    made = work / output
    with open_record(
        work, study="demo", stage=stage, run=run, evaluation=None, argv=[stage], recipe={"a": 1},
        recipe_digest="d", seed=0, inputs=inputs, code="c" * 64, scale="demo",
    ) as record:  # fmt: skip
        made.write_text(text)
        place = out / output
        record.finish({"it": place}, {}, out / "record.json", {made: place})
    return place


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A data set, an encoder made of it and two evaluations of the encoder."""
    monkeypatch.chdir(tmp_path)
    archive = Path("archive.tar")
    archive.write_text("images")
    data = run_job("prepare", "scenes", {"archive": archive}, "dataset.json", "{}")
    encoder = run_job("pretrain", "folk-s0", {"dataset": data}, "encoder.safetensors", "weights")
    for name in ("full", "few"):
        inputs = {"encoder": encoder, "dataset": data}
        run_job("finetune", f"folk-s0/{name}", inputs, "predictions.parquet", name)
    return Chain(RESULTS)


def test_the_chain_behind_an_evaluation_goes_back_to_the_archive(study):
    job = study.at(RESULTS / "finetune/folk-s0/full/record.json")

    behind = study.behind([job])

    assert [each.record["stage"] for each in behind] == ["prepare", "pretrain", "finetune"]
    (archive,) = study.links(behind[0])
    assert (archive.entry["path"], archive.maker, archive.problem) == ("archive.tar", None, None)
    assert list(study.broken(behind)) == []


def test_every_finished_record_is_found_and_none_of_the_work_folder(study):
    assert [path.parent.name for path in study.record_paths()] == [
        "few", "full", "scenes", "folk-s0",
    ]  # fmt: skip
    assert study.failed_paths() == []


def edit(path: Path, change) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_an_edited_record_breaks_the_chain(study):
    path = RESULTS / "pretrain/folk-s0/record.json"
    edit(path, lambda record: record["recipe"].update(a=2))

    job = study.at(RESULTS / "finetune/folk-s0/full/record.json")
    said = [sentence for _, sentence in study.broken(study.behind([job]))]

    assert said == [f"{path}: its id does not match its content; it was edited"]


def test_a_record_that_was_replaced_breaks_the_chain(study):
    run_job("pretrain", "folk-s0", {}, "encoder.safetensors", "weights")

    job = study.at(RESULTS / "finetune/folk-s0/full/record.json")
    (link, _) = study.links(job)

    assert "another record was here" in link.problem


def test_other_bytes_than_were_read_break_the_chain(study):
    run_job("pretrain", "folk-s0", {}, "encoder.safetensors", "other weights")

    (link, _) = study.links(study.at(RESULTS / "finetune/folk-s0/full/record.json"))

    assert "other bytes than were read" in link.problem


def test_a_missing_record_breaks_the_chain(study):
    (RESULTS / "pretrain/folk-s0/record.json").unlink()

    (link, _) = study.links(study.at(RESULTS / "finetune/folk-s0/full/record.json"))

    assert link.maker is None
    assert "missing record" in link.problem


def test_a_file_that_is_no_record_is_refused(study):
    path = RESULTS / "pretrain/folk-s0/record.json"
    path.write_text("{}")

    with pytest.raises(InputError, match="invalid record"):
        study.at(path)
