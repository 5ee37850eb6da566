"""Shards give back what was written, in any process, and anything else is refused."""

import hashlib
import io
import json
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from folk.data.datasets.scenes import compose_scenes
from folk.data.shards import ImageTable, PreparedData
from folk.data.writer import write_shard
from folk.evidence.core.errors import InputError
from tests.faults.table import fault


def write(path, count):
    return write_shard(path, [(f"k{i}", i % 3, b"p%d" % i, b"a" if i % 2 else None)
                              for i in range(count)])  # fmt: skip


@pytest.fixture
def copy(scenes_folder, tmp_path):
    return shutil.copytree(scenes_folder, tmp_path / "copy")


def test_rows_come_back_as_written_over_batches_and_shards(tmp_path):
    paths = [tmp_path / "train-00000.arrow", tmp_path / "train-00001.arrow"]
    assert [write(path, count).rows for path, count in zip(paths, (2000, 500), strict=True)] == [
        2000,
        500,
    ]
    table = ImageTable(paths)

    assert len(table) == 2500
    for i in (0, 1023, 1024, 1999, 2000, 2499):
        row = i % 2000
        assert table.key(i) == f"k{row}"
        assert table.image_bytes(i) == b"p%d" % row
        assert table.annotation_bytes(i) == (b"a" if row % 2 else None)
        assert table.shard(i).name == f"train-0000{i // 2000}.arrow"
    assert table.keys() == [f"k{i % 2000}" for i in range(2500)]
    assert table.labels().tolist() == [i % 2000 % 3 for i in range(2500)]


def test_a_shard_is_described_by_the_digest_of_its_file(tmp_path):
    info = write(tmp_path / "a.arrow", 10)
    data = (tmp_path / "a.arrow").read_bytes()

    assert info.sha256 == hashlib.sha256(data).hexdigest()
    assert info.bytes == len(data)
    with pa.ipc.open_file(pa.BufferReader(data)) as reader:
        assert reader.schema.names == ["key", "label", "image", "annotation"]


@pytest.mark.parametrize("number", [10, 3000])
@pytest.mark.parametrize("fault", [RuntimeError, None], ids=["of the rows", "of the thread"])
def test_a_shard_that_fails_is_raised_and_leaves_no_file(tmp_path, number, fault):
    def rows():
        for i in range(number):
            yield f"k{i}", 2**40 if i == 5 and fault is None else 0, b"x", None
        if fault is not None:
            raise fault

    with pytest.raises(fault or (pa.ArrowInvalid, OverflowError)):
        write_shard(tmp_path / "a.arrow", rows())

    assert list(tmp_path.iterdir()) == []


def test_an_index_outside_the_table_is_an_error_not_another_image(tmp_path):
    write(tmp_path / "a.arrow", 3)
    table = ImageTable([tmp_path / "a.arrow"])

    for index in (-1, 3):
        with pytest.raises(IndexError):
            table.key(index)


def test_a_selection_keeps_its_order_and_can_be_selected_again(scenes):
    table = scenes.split("train")
    chosen = table.select(np.array([5, 2, 40])).select(np.array([2, 0]))

    assert chosen.keys() == ["train/00040", "train/00005"]
    assert chosen.labels().tolist() == [0, 5]
    assert chosen.image_bytes(1) == table.image_bytes(5)


def test_a_pickled_table_carries_paths_and_no_images(scenes):
    table = scenes.split(["train", "unlabeled"])
    data = pickle.dumps(table)
    again = pickle.loads(data)

    assert len(data) < 2000
    assert again.keys() == table.keys()
    assert again.image_bytes(70) == table.image_bytes(70)


def test_a_prepared_data_set_says_what_is_in_it(scenes):
    assert scenes.name == "scenes"
    assert scenes.classes == tuple("0123456789")
    assert scenes.segmentation_classes == ("background", *"0123456789")
    assert scenes.counts == {"train": 60, "val": 20, "unlabeled": 30}
    assert scenes.image_size == (32, 32)
    assert len(scenes.split(["train", "unlabeled"])) == 90


def test_a_scene_survives_its_shard(scenes):
    table = scenes.split("val")
    composed = [
        s for s in compose_scenes(num_train=60, num_val=20, num_unlabeled=0) if s.split == "val"
    ]

    for i, scene in enumerate(composed):
        image = np.asarray(Image.open(io.BytesIO(table.image_bytes(i))))
        annotation = Image.open(io.BytesIO(table.annotation_bytes(i)))
        assert (table.key(i), table.labels()[i]) == (scene.key, scene.label)
        assert np.array_equal(image, scene.image)
        assert annotation.mode == "L"
        assert np.array_equal(np.asarray(annotation), scene.annotation)


def test_the_manifest_names_the_digest_and_the_place_of_each_image(scenes_folder, scenes):
    rows = pq.read_table(scenes_folder / "manifest.parquet").to_pylist()

    assert len(rows) == 110
    for row in rows:
        table = ImageTable([scenes_folder / "shards" / row["shard"]])
        image = table.image_bytes(row["row"])
        assert table.key(row["row"]) == row["key"]
        assert hashlib.sha256(image).hexdigest() == row["sha256"]
        assert len(image) == row["bytes"]
        marks = table.annotation_bytes(row["row"])
        assert hashlib.sha256(marks).hexdigest() == row["annotation_sha256"]


def test_an_unknown_split_is_refused_with_the_nearest_name(scenes):
    with pytest.raises(InputError, match=r"unknown split 'vall' of .*; did you mean 'val'"):
        scenes.split("vall")


@fault("Numbers", "an empty validation set", "refused, by data set and split")
def test_an_empty_split_is_refused(copy):
    path = copy / "dataset.json"
    values = json.loads(path.read_text())
    values["counts"]["test"] = 0
    path.write_text(json.dumps(values))

    with pytest.raises(InputError, match="split 'test' of 'scenes' is empty"):
        PreparedData.open(copy).split("test")


def test_a_missing_shard_is_refused(copy):
    (copy / "shards" / "val-00000.arrow").unlink()

    with pytest.raises(InputError, match=r"val-00000\.arrow: missing shard"):
        PreparedData.open(copy)


def test_an_arrow_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "train-00000.arrow"
    table = pa.table({"x": [1]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)

    with pytest.raises(InputError, match=r"invalid or truncated shard .*its columns are x"):
        ImageTable([path])


@pytest.mark.parametrize("text", [None, "{", "[]", '{"format": 1}', '{"format": 99}'])
def test_a_damaged_description_is_refused(copy, text):
    path = copy / "dataset.json"
    path.unlink() if text is None else path.write_text(text)

    with pytest.raises(InputError, match=r"dataset\.json"):
        PreparedData.open(copy)
