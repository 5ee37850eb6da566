"""The chain finds who made what, and says where it is broken."""

from pathlib import Path

import pytest

from folk.evidence.audit.chain import Chain
from folk.evidence.core.errors import InputError
from tests.toy import RESULTS, do, edit


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A data set, an encoder made of it and two evaluations of the encoder."""
    monkeypatch.chdir(tmp_path)
    archive = Path("archive.tar")
    archive.write_text("images")
    data = do("prepare", "scenes", {"dataset.json": "{}"}, {"archive": archive})
    encoder = do("pretrain", "folk-s0", {"encoder.safetensors": "weights"}, {"dataset": data})
    for name in ("full", "few"):
        inputs = {"encoder": encoder, "dataset": data}
        do("finetune", "folk-s0", {"predictions.parquet": name}, inputs, name)
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


def test_an_edited_record_breaks_the_chain(study):
    path = RESULTS / "pretrain/folk-s0/record.json"
    edit(path, lambda record: record["recipe"].update(a=2))

    job = study.at(RESULTS / "finetune/folk-s0/full/record.json")
    said = [sentence for _, sentence in study.broken(study.behind([job]))]

    assert said == [f"{path}: its id does not match its content; it was edited"]


def test_a_record_that_was_replaced_breaks_the_chain(study):
    do("pretrain", "folk-s0", {"encoder.safetensors": "weights"})

    job = study.at(RESULTS / "finetune/folk-s0/full/record.json")
    (link, _) = study.links(job)

    assert "another record was here" in link.problem


def test_other_bytes_than_were_read_break_the_chain(study):
    do("pretrain", "folk-s0", {"encoder.safetensors": "other weights"})

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
