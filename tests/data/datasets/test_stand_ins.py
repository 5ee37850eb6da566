"""A miniature stands in for each kind of official archives, and is prepared as they are."""

import hashlib
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from folk.data.datasets.miniature import CLASSES, few_label_list, write_stand_in
from folk.data.shards import PreparedData
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.corruption import ALEXNET_ERROR, C_BAR
from folk.stages.recipes.smoke import archive_values, split_values
from folk.stages.table import load_recipe
from tests.toy import do_stage

RECIPES = Path("config/recipes")
KINDS = sorted(path.stem for path in RECIPES.glob("prepare/*.yaml") if "demo" not in path.stem)


def files_of(recipe):
    return {} if recipe.archive is None else {n: f.file for n, f in recipe.archive.files.items()}


def prepared(name, folder):
    path = RECIPES / f"prepare/{name}.yaml"
    recipe = load_recipe("prepare", path)
    made = write_stand_in(recipe.kind, files_of(recipe), folder / "in")
    if recipe.archive is not None:
        recipe = load_recipe("prepare", path, archive_values(recipe, made))
    do_stage("prepare", recipe, folder / "out", source=made.source, archive=made.archives)
    return PreparedData.open(folder / "out")


@pytest.mark.parametrize("name", KINDS)
def test_every_prepare_recipe_has_a_stand_in_that_passes_its_checks(name, tmp_path):
    data = prepared(name, tmp_path)

    assert sum(data.counts.values()) > 0


def test_imagenet_gives_two_batches_of_two_and_one_image_of_each_class_to_validate(tmp_path):
    data = prepared("imagenet", tmp_path)

    assert data.counts == {"train": 5, "val": 4}
    assert sorted(data.split("val").labels().tolist()) == [0, 1, 2, 3]
    assert set(data.split("train").labels().tolist()) == {0, 1, 2, 3}


def test_all_corruptions_and_severities_are_there_so_that_mce_can_be_computed(tmp_path):
    c, bar = prepared("imagenet-c", tmp_path / "c"), prepared("c-bar", tmp_path / "bar")

    assert set(c.counts) == {f"{name}-{s}" for name in ALEXNET_ERROR for s in range(1, 6)}
    assert set(bar.counts) == {f"{name}-{s}" for name in C_BAR for s in range(1, 6)}


def test_the_list_names_four_training_images_as_the_official_one_does(tmp_path):
    prepared("imagenet", tmp_path)
    path = few_label_list(tmp_path / "few.txt")
    recipe = load_recipe(
        "split",
        RECIPES / "split/ten-percent.yaml",
        {"list_sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
    )

    found = do_stage("split", recipe, tmp_path, dataset=tmp_path / "out", list=path)

    assert found["images"] == 4.0
    assert pq.read_table(tmp_path / "keys.parquet").num_rows == 4


@pytest.mark.parametrize(("way", "images"), [("per_class", len(CLASSES)), ("fraction", 5)])
def test_drawn_splits_find_enough_images_for_two_updates(way, images, tmp_path):
    prepared("imagenet", tmp_path)
    drawn = {"list_sha256": None, way: 13 if way == "per_class" else 0.1}
    path = RECIPES / "split/ten-percent.yaml"
    recipe = load_recipe("split", path, drawn)
    recipe = load_recipe("split", path, drawn | split_values(recipe, ""))

    assert do_stage("split", recipe, tmp_path, dataset=tmp_path / "out")["images"] == images


@pytest.mark.parametrize(
    "name", ["imagenet", "ade20k", "imagenet-c", "imagenet-v2", "fashion-mnist", "cifar-10"]
)
def test_the_same_bytes_come_out_at_another_time(name, tmp_path, monkeypatch):
    recipe = load_recipe("prepare", RECIPES / f"prepare/{name}.yaml")

    def written(folder):
        made = write_stand_in(recipe.kind, files_of(recipe), folder)
        return {key: path.read_bytes() for key, path in made.archives.items()}

    first, real, asctime = written(tmp_path / "a"), time.time, time.asctime
    monkeypatch.setattr(time, "time", lambda: real() + 1e6)
    monkeypatch.setattr(time, "asctime", lambda *moment: asctime(time.gmtime(real() + 1e6)))

    assert written(tmp_path / "b") == first


def test_what_has_no_miniature_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="no miniature of kind 'scenes'"):
        write_stand_in("scenes", {}, tmp_path)
    with pytest.raises(InputError, match="no miniature of archive 'mine' of kind 'imagenet-c'"):
        write_stand_in("imagenet-c", {"mine": "mine.tar"}, tmp_path)
