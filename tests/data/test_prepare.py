"""Preparing makes all or nothing, twice the same, and refuses what is not an image."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from folk.data import store
from folk.data.datasets import scenes
from folk.data.prepare import prepare_image_folder, prepare_scenes
from folk.data.shards import PreparedData
from folk.evidence.core.errors import InputError
from tests.faults.table import fault
from tests.toy import encoded

SMALL = {"num_train": 20, "num_val": 10, "num_unlabeled": 0}


def photo(color=(200, 30, 60), kind="JPEG", size=(20, 12)):
    return encoded(Image.new("RGB", size, color), kind)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "photos"
    for split, count in (("train", 5), ("val", 2)):
        for cls, color in (("ant", (200, 0, 0)), ("bee", (0, 200, 0))):
            (folder / split / cls).mkdir(parents=True)
            for i in range(count):
                (folder / split / cls / f"{i}.jpg").write_bytes(photo(color, size=(20 + i, 12)))
    return folder


def digests(folder):
    return json.loads((folder / "dataset.json").read_text())["shards"]


def test_two_runs_make_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        prepare_scenes(tmp_path / name, **SMALL)

    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert (tmp_path / "a/manifest.parquet").read_bytes() == (
        tmp_path / "b/manifest.parquet"
    ).read_bytes()


def test_scenes_without_unlabeled_ones_say_so(tmp_path):
    assert prepare_scenes(tmp_path / "a", **SMALL) == {"train": 20, "val": 10, "unlabeled": 0}
    assert PreparedData.open(tmp_path / "a").counts["unlabeled"] == 0


def test_the_description_names_what_the_scenes_were_made_from(scenes_folder):
    sources = json.loads((scenes_folder / "dataset.json").read_text())["sources"]

    assert [s["name"] for s in sources][:2] == ["sklearn load_digits", "china.jpg"]
    assert all(len(s["sha256"]) == 64 and s["bytes"] > 0 for s in sources)


@fault(
    "Disk",
    "a killed `prepare` of a folder or of the embedded images",
    "the next start goes on after the last whole shard, with the same data set at its end",
    lost="the shard that was being written",
)
def test_an_interrupted_prepare_goes_on_after_its_last_whole_shard(tmp_path, monkeypatch):
    whole, real, made = scenes.compose_scenes, store.check_image, []

    def interrupted(**values):
        for i, scene in enumerate(whole(**values)):
            if i == 25:  # the first split is written, the second begun
                raise KeyboardInterrupt
            yield scene

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "sched_getaffinity", lambda _process: {0})  # 4 images ahead
        patch.setattr(scenes, "compose_scenes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_scenes(tmp_path / "a", **SMALL)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["partial"]
    shards = list((tmp_path / "a/partial/shards").iterdir())
    assert [path.name for path in shards] == ["train-00000.arrow"]

    with monkeypatch.context() as patch:
        patch.setattr(store, "check_image", lambda data, **w: made.append(1) or real(data, **w))
        prepare_scenes(tmp_path / "a", **SMALL)
    assert len(made) == SMALL["num_val"]
    prepare_scenes(tmp_path / "b", **SMALL)
    for file in ("dataset.json", "manifest.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@fault(
    "Processes",
    "a `prepare` that had stopped, and goes on after a later start of the job has taken over",
    "it ends; the later start's unfinished files stay",
)
def test_an_older_start_leaves_the_files_of_a_later_one(tmp_path):
    class OtherStartError(Exception):
        pass

    def confirm():
        raise OtherStartError

    of_the_later = tmp_path / "partial/shards/.train-00000.arrow.later.tmp"
    of_the_later.parent.mkdir(parents=True)
    of_the_later.write_bytes(b"half a shard")
    with pytest.raises(OtherStartError):
        prepare_scenes(tmp_path, **SMALL, confirm=confirm)

    assert of_the_later.read_bytes() == b"half a shard"


def test_a_folder_that_changed_meanwhile_is_prepared_from_its_beginning(source, tmp_path):
    (source / "val/bee/1.jpg").write_bytes(b"no image")
    with pytest.raises(InputError):
        prepare_image_folder(source, tmp_path / "out")
    for path in (source / "val/bee/1.jpg", source / "train/ant/0.jpg"):
        path.write_bytes(photo((1, 2, 3)))

    prepare_image_folder(source, tmp_path / "out")
    prepare_image_folder(source, tmp_path / "other")
    assert digests(tmp_path / "out") == digests(tmp_path / "other")


def test_a_log_beside_the_data_set_stays(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/prepare.log").write_text("started")

    prepare_scenes(tmp_path / "a", **SMALL)

    assert (tmp_path / "a/prepare.log").read_text() == "started"


def test_preparing_again_replaces_every_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_ROWS_PER_SHARD", 8)
    prepare_scenes(tmp_path / "a", **SMALL)
    assert len(list((tmp_path / "a/shards").iterdir())) == 3 + 2
    assert len(PreparedData.open(tmp_path / "a").split("train")) == 20

    monkeypatch.setattr(store, "MAX_ROWS_PER_SHARD", 100)
    prepare_scenes(tmp_path / "a", **(SMALL | {"seed": 1}))
    assert sorted(p.name for p in (tmp_path / "a/shards").iterdir()) == [
        "train-00000.arrow",
        "val-00000.arrow",
    ]
    PreparedData.open(tmp_path / "a")


def test_a_folder_keeps_bytes_classes_and_names(source, tmp_path):
    assert prepare_image_folder(source, tmp_path / "out") == {"train": 10, "val": 4}
    data = PreparedData.open(tmp_path / "out")
    table = data.split("train")

    assert (data.name, data.kind, data.classes) == ("photos", "folder", ("ant", "bee"))
    assert data.segmentation_classes is None
    assert data.image_size is None
    assert table.keys() == [f"train/{c}/{i}.jpg" for c in ("ant", "bee") for i in range(5)]
    assert table.labels().tolist() == [0] * 5 + [1] * 5
    for i, key in enumerate(table.keys()):
        assert table.image_bytes(i) == (source / key).read_bytes()
        assert table.annotation_bytes(i) is None


def test_the_source_digest_follows_names_and_contents(source, tmp_path):
    def digest(name):
        prepare_image_folder(source, tmp_path / name, name="x")
        (entry,) = json.loads((tmp_path / name / "dataset.json").read_text())["sources"]
        return entry["sha256"]

    first = digest("a")
    assert digest("b") == first
    (source / "val/ant/0.jpg").rename(source / "val/ant/7.jpg")
    renamed = digest("c")
    (source / "val/ant/7.jpg").write_bytes(photo((1, 2, 3)))
    assert len({first, renamed, digest("d")}) == 3


def test_a_limit_takes_turns_among_the_classes(source, tmp_path):
    counts = prepare_image_folder(source, tmp_path / "out", limit=3)
    data = PreparedData.open(tmp_path / "out")

    assert counts == {"train": 3, "val": 3}
    assert data.split("train").keys() == ["train/ant/0.jpg", "train/ant/1.jpg", "train/bee/0.jpg"]
    with pytest.raises(InputError, match="limit 1"):
        prepare_image_folder(source, tmp_path / "out", limit=1)


def test_hidden_files_are_passed_over(source, tmp_path):
    (source / "train/ant/.DS_Store").write_bytes(b"x")
    (source / "train/.cache").mkdir()

    assert prepare_image_folder(source, tmp_path / "out")["train"] == 10


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", marks=fault("Images", "an empty file", "refused, by its path")),
        pytest.param(
            b"hello", marks=fault("Images", "a file that is no image", "refused, by its path")
        ),
        pytest.param(photo()[:200], marks=fault("Images", "half an image", "refused, by its path")),
        photo(kind="PNG")[:60],
        photo(kind="PNG").replace(b"IDAT", b"IDAX"),
    ],
    ids=["empty", "text", "half a JPEG", "half a PNG", "no pixels"],
)
def test_an_image_that_is_not_an_image_is_refused_by_name(source, tmp_path, data):
    (source / "train/bee/3.jpg").write_bytes(data)

    with pytest.raises(InputError, match=r"train/bee/3\.jpg: expected a whole image") as error:
        prepare_image_folder(source, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert "0x" not in str(error.value)
    assert not (tmp_path / "out/dataset.json").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda source: source.rename(source.with_name("away")), "train: no such folder"),
        (lambda source: [shutil.rmtree(folder) for folder in (source / "val").iterdir()],
         "val: no classes"),
        pytest.param(lambda source: (source / "train/cow").mkdir(), "train/cow: no images", marks=
            fault("Images", "a class without an image", "refused, by its folder")),
        pytest.param(lambda source: shutil.copytree(source / "val/ant", source / "val/ants"),
            "unknown class 'ants', not in train; did you mean 'ant'", marks=fault(
            "Images", "a class that only val has", "refused, with the nearest name in train")),
    ],
)  # fmt: skip
def test_a_folder_of_another_form_is_refused(source, tmp_path, change, said):
    change(source)

    with pytest.raises(InputError, match=said):
        prepare_image_folder(source, tmp_path / "out")


def test_scene_pixels_are_not_shared_with_the_source_arrays():
    first = next(scenes.compose_scenes(**SMALL))
    first.image[:] = 0

    assert np.any(next(scenes.compose_scenes(**SMALL)).image)
