"""The tasks `prepare` and `split` do what their recipes say, and refuse what does not fit."""

import hashlib

import pyarrow.parquet as pq
import pytest

from folk.data.datasets import miniature
from folk.data.shards import PreparedData
from folk.evidence.core.errors import InputError
from folk.stages.prepare import PrepareRecipe
from folk.stages.split import SplitRecipe
from tests.toy import do_stage

ABOUT = {"reproduces": "", "hardware": "", "expected": ""}
SCENES = {
    "size": 32,
    "num_train": 40,
    "num_val": 10,
    "num_unlabeled": 0,
    "contrast": 0.3,
    "digit_scale": [0.6, 0.9],
    "digit_brightness": [0.8, 1.0],
    "color": 0.3,
    "seed": 0,
}


def prepare_recipe(**values):
    return PrepareRecipe.model_validate({"about": ABOUT, **values})


def split_recipe(**values):
    empty = {"per_class": None, "fraction": None, "list_sha256": None, "seed": 0}
    return SplitRecipe.model_validate({"about": ABOUT, **empty, **values})


def rows(folder):
    return pq.read_table(folder / "keys.parquet").to_pydict()


def test_scenes_are_prepared_as_the_recipe_says(tmp_path):
    recipe = prepare_recipe(kind="scenes", scenes=SCENES)
    metrics = do_stage("prepare", recipe, tmp_path, name="digits")
    data = PreparedData.open(tmp_path)

    assert metrics == {"num_train": 40.0, "num_val": 10.0, "num_unlabeled": 0.0}
    assert data.name == "digits"


def test_a_source_is_needed_for_a_folder_and_refused_for_scenes(tmp_path):
    folder = prepare_recipe(kind="folder", folder={"limit": None})
    scenes = prepare_recipe(kind="scenes", scenes=SCENES)

    with pytest.raises(InputError, match="missing for a recipe of kind 'folder'"):
        do_stage("prepare", folder, tmp_path / "a")
    with pytest.raises(InputError, match="takes no source"):
        do_stage("prepare", scenes, tmp_path / "a", source=tmp_path)


def test_a_drawn_split_is_written_with_its_labels(scenes_folder, tmp_path):
    metrics = do_stage("split", split_recipe(per_class=2), tmp_path, dataset=scenes_folder)
    chosen = rows(tmp_path)

    assert metrics == {"images": 20.0, "classes": 10.0}
    assert sorted(chosen["label"]) == sorted([*range(10)] * 2)
    # Scenes take turns among the classes.
    assert all(int(k[-1]) == label for k, label in zip(chosen["key"], chosen["label"], strict=True))


def test_a_listed_split_holds_the_listed_images(scenes_folder, tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("train/00007\n00003\n")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    recipe = split_recipe(list_sha256=digest)
    do_stage("split", recipe, tmp_path, dataset=scenes_folder, list=file)

    assert rows(tmp_path) == {"key": ["train/00003", "train/00007"], "label": [3, 7]}


def test_another_list_than_the_recipe_means_is_refused(scenes_folder, tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("00003\n")
    recipe, drawn = split_recipe(list_sha256="0" * 64), split_recipe(per_class=1)

    with pytest.raises(InputError, match=r"list\.txt: expected sha256"):
        do_stage("split", recipe, tmp_path, dataset=scenes_folder, list=file)
    with pytest.raises(InputError, match="give the list's path"):
        do_stage("split", recipe, tmp_path, dataset=scenes_folder)
    with pytest.raises(InputError, match="remove the list"):
        do_stage("split", drawn, tmp_path, dataset=scenes_folder, list=file)
    assert not (tmp_path / "keys.parquet").exists()


def test_a_fold_holds_the_images_that_the_archive_lists(tmp_path):
    recipe = PrepareRecipe.model_validate(
        {
            "about": ABOUT,
            "kind": "stl-10",
            "archive": {
                "files": {"images": {"file": "stl.tar.gz", "md5": None}},
                "classes": 4,
                "splits": 3,
                "images": None,
            },
        }
    )
    archive = miniature.write_archive(tmp_path / "stl.tar.gz", miniature.stl10_files())
    do_stage("prepare", recipe, tmp_path / "data", archive={"images": archive})

    do_stage("split", split_recipe(fold=1), tmp_path / "fold", dataset=tmp_path / "data")

    assert rows(tmp_path / "fold")["key"] == ["train/000001", "train/000002"]
    with pytest.raises(InputError, match=r"dataset\.json: fold 2 of .*, which has 2 folds"):
        do_stage("split", split_recipe(fold=2), tmp_path / "none", dataset=tmp_path / "data")


def test_a_recipe_without_a_fold_has_the_digest_from_before_there_were_folds():
    assert "fold" not in split_recipe(per_class=1).model_dump(mode="json")
