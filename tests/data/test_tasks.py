"""The tasks `prepare` and `split` do what their recipes say, and refuse what does not fit."""

import hashlib

import pyarrow.parquet as pq
import pytest

from folk.data.shards import PreparedData
from folk.evidence.core.errors import InputError
from folk.stages.prepare import PrepareRecipe
from folk.stages.split import SplitRecipe
from folk.stages.tasks.prepare import run_prepare
from folk.stages.tasks.split import run_split

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
    metrics = run_prepare(prepare_recipe(kind="scenes", scenes=SCENES), None, tmp_path, "digits")
    data = PreparedData.open(tmp_path)

    assert metrics == {"num_train": 40.0, "num_val": 10.0, "num_unlabeled": 0.0}
    assert data.name == "digits"


def test_a_source_is_needed_for_a_folder_and_refused_for_scenes(tmp_path):
    with pytest.raises(InputError, match="missing for a recipe of kind 'folder'"):
        run_prepare(
            prepare_recipe(kind="folder", folder={"limit": None}), None, tmp_path / "a", "a"
        )
    with pytest.raises(InputError, match="takes no source"):
        run_prepare(prepare_recipe(kind="scenes", scenes=SCENES), tmp_path, tmp_path / "a", "a")


def test_a_drawn_split_is_written_with_its_labels(scenes_folder, tmp_path):
    metrics = run_split(split_recipe(per_class=2), scenes_folder, tmp_path, None)
    chosen = rows(tmp_path)

    assert metrics == {"images": 20.0, "classes": 10.0}
    assert sorted(chosen["label"]) == sorted([*range(10)] * 2)
    # Scenes take turns among the classes.
    assert all(int(k[-1]) == label for k, label in zip(chosen["key"], chosen["label"], strict=True))


def test_a_listed_split_holds_the_listed_images(scenes_folder, tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("train/00007\n00003\n")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    run_split(split_recipe(list_sha256=digest), scenes_folder, tmp_path, file)

    assert rows(tmp_path) == {"key": ["train/00003", "train/00007"], "label": [3, 7]}


def test_another_list_than_the_recipe_means_is_refused(scenes_folder, tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("00003\n")
    recipe = split_recipe(list_sha256="0" * 64)

    with pytest.raises(InputError, match=r"list\.txt: expected sha256"):
        run_split(recipe, scenes_folder, tmp_path, file)
    with pytest.raises(InputError, match="give the list's path"):
        run_split(recipe, scenes_folder, tmp_path, None)
    with pytest.raises(InputError, match="remove the list"):
        run_split(split_recipe(per_class=1), scenes_folder, tmp_path, file)
    assert not (tmp_path / "keys.parquet").exists()
