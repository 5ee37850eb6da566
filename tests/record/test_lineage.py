"""Records link to the records that made their inputs, by bytes and not by name alone."""

from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.record.lineage import describe_inputs, portable
from folk.evidence.record.publish import publish
from folk.evidence.record.schema import read_record

DATA = Path("results/demo/prepare/scenes")
RUN = Path("results/demo/pretrain/folk-s0")


def prepare(job):
    """Make a prepared data set as the stage does: in the work folder, then published."""
    with job(stage="prepare", run="scenes") as record:
        made = record.work / "made"
        (made / "shards").mkdir(parents=True)
        (made / "shards/train-00000.arrow").write_bytes(b"images")
        (made / "dataset.json").write_text('{"format": 1}')
        (made / "manifest.parquet").write_bytes(b"manifest")
        names = ("dataset.json", "manifest.parquet", "shards")
        return record.finish(
            {Path(name).stem: DATA / name for name in names},
            {},
            DATA / "record.json",
            {made / name: DATA / name for name in names},
        )


def pretrain(job):
    with job(inputs={"data": DATA}) as record:
        (record.work / "encoder.safetensors").write_bytes(b"weights")
        declared = RUN / "encoder.safetensors"
        moves = {record.work / "encoder.safetensors": declared}
        return record.finish({"encoder": declared}, {}, RUN / "record.json", moves)


def test_each_record_names_the_records_of_its_inputs(job):
    data_id = prepare(job)
    run_id = pretrain(job)

    run = read_record(RUN / "record.json")
    assert run["parents"] == [data_id]
    with job(stage="probe", inputs={"encoder": RUN / "encoder.safetensors"}) as record:
        record.finish({}, {}, Path("results/demo/probe/folk-s0/frozen/record.json"))
    probe = read_record(Path("results/demo/probe/folk-s0/frozen/record.json"))
    assert probe["parents"] == [run_id]


def test_a_prepared_data_set_stands_as_its_naming_files_and_shards_are_not_read_again(job):
    prepare(job)
    (DATA / "shards/train-00000.arrow").chmod(0o000)

    entries = describe_inputs({"data": DATA})

    assert [entry["name"] for entry in entries] == ["data/dataset.json", "data/manifest.parquet"]
    assert entries[0]["path"] == "results/demo/prepare/scenes/dataset.json"


def test_an_output_folder_is_listed_file_by_file(job):
    prepare(job)

    outputs = {o["name"]: o["path"] for o in read_record(DATA / "record.json")["outputs"]}

    assert outputs["shards/train-00000.arrow"] == (DATA / "shards/train-00000.arrow").as_posix()


def test_a_shard_finds_the_record_one_folder_up(job):
    data_id = prepare(job)

    (entry,) = describe_inputs({"shard": DATA / "shards/train-00000.arrow"})

    assert entry["record"] == data_id


def test_an_input_that_was_edited_has_no_parent(job):
    prepare(job)
    (DATA / "manifest.parquet").write_bytes(b"another")

    entries = describe_inputs({"data": DATA})

    assert [entry["record"] is None for entry in entries] == [False, True]


def test_an_input_beside_a_record_that_does_not_name_it_has_no_parent(job):
    prepare(job)
    (DATA / "foreign.bin").write_bytes(b"images")

    assert describe_inputs({"foreign": DATA / "foreign.bin"})[0]["record"] is None


def test_a_folder_of_raw_images_is_named_and_not_read(here):
    (here / "photos").mkdir()
    (here / "photos/a.jpg").write_bytes(b"jpeg")

    (entry,) = describe_inputs({"source": here / "photos"})

    assert (entry["path"], entry["sha256"], entry["record"]) == ("photos", None, None)


def test_a_missing_input_is_refused_with_its_name(here):
    with pytest.raises(InputError, match="input 'data'"):
        describe_inputs({"data": here / "nothing"})


def test_paths_below_the_current_folder_are_relative_and_others_are_whole(here):
    assert portable(here / "a" / "b") == "a/b"
    assert portable(Path("a/../b")) == "b"
    assert portable(Path("/elsewhere/x")) == "/elsewhere/x"


def test_publishing_moves_everything_or_nothing(here):
    (here / "one").write_text("1")

    with pytest.raises(FileNotFoundError, match="two"):
        publish({here / "one": here / "out/one", here / "two": here / "out/two"})

    assert not (here / "out/one").exists()


def test_publishing_replaces_what_stood_there(here):
    for name, text in (("new", "new"), ("old", "old")):
        (here / name).mkdir()
        (here / name / text).write_text(text)

    publish({here / "new": here / "old"})

    assert [path.name for path in (here / "old").iterdir()] == ["new"]
    assert not (here / "new").exists()


def test_publishing_works_between_file_systems(here, monkeypatch):
    (here / "folder").mkdir()
    (here / "folder/a").write_text("a")
    (here / "file").write_text("f")
    move = Path.replace

    def replace(self, target):
        if self.name == "file":
            raise OSError(18, "Invalid cross-device link")
        return move(self, target)

    def rename(self, target):
        if self.name == "folder":
            raise OSError(18, "Invalid cross-device link")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Path, "rename", rename)

    publish({here / "folder": here / "out/folder", here / "file": here / "out/file"})

    assert (here / "out/folder/a").read_text() == "a"
    assert (here / "out/file").read_text() == "f"
    assert sorted(path.name for path in here.iterdir()) == ["out"]
