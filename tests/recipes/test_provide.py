"""What a person must bring is said all at once, and only where it is missing."""

from pathlib import Path

import pytest

from folk.cli.sources_today import sources_today
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import DataEntry, load_study
from folk.stages.recipes.provide import (
    archive_paths,
    archive_problems,
    folder_of_images,
    missing_files,
)
from folk.stages.table import STAGES, load_recipe

FOLDER = Path("config/recipes")
IMAGENET = {"train": "a/train.tar", "val": "a/val.tar", "devkit": "a/kit.tar.gz"}


def entry(**values):
    return DataEntry.model_validate({"recipe": "imagenet"} | values)


def recipe(name):
    return load_recipe("prepare", FOLDER / f"prepare/{name}.yaml")


def test_a_recipe_must_have_the_archives_of_its_kind():
    with pytest.raises(InputError, match=r"devkit, train, val, got devkit, extra, train, val"):
        load_recipe(
            "prepare",
            FOLDER / "prepare/imagenet.yaml",
            {"archive.files.extra": {"file": "x", "md5": None}},
        )
    with pytest.raises(InputError, match=r"archive\.files\.val\.md5"):
        load_recipe(
            "prepare", FOLDER / "prepare/imagenet.yaml", {"archive.files.val.md5": "29b22e29"}
        )


def test_more_corruptions_are_one_setting():
    extra = {"archive.files.extra": {"file": "extra.tar", "md5": None}, "archive.splits": 95}

    loaded = load_recipe("prepare", FOLDER / "prepare/imagenet-c.yaml", extra)

    assert list(loaded.archive.files) == ["noise", "blur", "weather", "digital", "extra"]


def test_an_entry_that_fits_its_recipe_has_no_problem():
    assert archive_problems(entry(archives=IMAGENET), recipe("imagenet")) == []
    assert archive_problems(entry(source="photos"), recipe("image-folder")) == []
    assert archive_problems(entry(), recipe("demo")) == []


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "imagenet",
            {"archives": IMAGENET | {"kit": "x"}},
            "did you mean 'devkit'",
        ),
        ("imagenet", {}, "missing 'devkit'; give the path of ILSVRC2012_devkit_t12.tar.gz"),
        ("imagenet", {"archives": IMAGENET, "source": "x"}, "remove it or them"),
        ("demo", {"source": "x"}, "takes no folder; remove it"),
        ("fashion-mnist-small", {"source": "x"}, "takes no folder; remove it"),
        ("fashion-mnist-small", {"archives": {"train-images": "x"}}, "unknown archive"),
        ("image-folder", {}, "source: missing; give the folder"),
        ("image-folder", {"source": "x", "archives": {"val": "x"}}, "unknown archive 'val'"),
    ],
)
def test_an_entry_that_does_not_fit_its_recipe_is_explained(name, values, message):
    assert any(message in line for line in archive_problems(entry(**values), recipe(name)))


def test_what_is_missing_is_listed_with_official_names_and_digests(tmp_path):
    present = tmp_path / "val.tar"
    present.write_bytes(b"")
    text = f"""
study: x
title: A study
scale: paper
data:
  imagenet:
    recipe: imagenet
    archives: {{train: {tmp_path}/t.tar, val: {present}, devkit: {tmp_path}/k.tar.gz}}
  hard: {{recipe: imagenet-a, archives: {{images: {tmp_path}/a.tar}}}}
splits:
  few: {{data: imagenet, recipe: ten-percent, list: {tmp_path}/list.txt}}
encoders:
  a: {{label: A, recipe: a, data: imagenet, seeds: [0]}}
"""
    (tmp_path / "x.yaml").write_text(text)
    study = load_study(tmp_path / "x.yaml", STAGES)
    recipes = {("prepare", n): recipe(e.recipe) for n, e in study.data.items()}
    recipes["split", "few"] = load_recipe("split", FOLDER / "split/ten-percent.yaml")

    lines = missing_files(study, recipes, ["imagenet", "hard"], ["few"])

    assert [line.split(": ")[0].rsplit("/", 1)[1] for line in lines] == [
        "t.tar", "k.tar.gz", "a.tar", "list.txt",
    ]  # fmt: skip
    assert "officially ILSVRC2012_img_train.tar, md5 1d675b47d978889d74fa0da5fadfb00e" in lines[0]
    assert "officially imagenet-a.tar, no published digest" in lines[2]
    assert "sha256 6d09de11e7bdaf5b1f3b1f249b6183695f97310cdd20f0c03e7235b6b9392091" in lines[3]
    assert missing_files(study, recipes, [], []) == []


def test_archives_may_lie_in_one_folder_under_their_names_gzipped_or_not(tmp_path):
    names = recipe("fashion-mnist").archive.files
    (tmp_path / "train-images-idx3-ubyte").touch()
    (tmp_path / "train-labels-idx1-ubyte").touch()
    (tmp_path / "train-labels-idx1-ubyte.gz").touch()

    clothes = entry(source=str(tmp_path))
    found = archive_paths(clothes, recipe("fashion-mnist"))

    assert archive_problems(clothes, recipe("fashion-mnist")) == []
    assert folder_of_images(clothes, recipe("fashion-mnist")) is None
    assert folder_of_images(clothes, recipe("image-folder")) == str(tmp_path)
    assert list(found) == list(names)
    assert [path.removeprefix(f"{tmp_path}/") for path in found.values()] == [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]
    assert archive_paths(entry(archives=IMAGENET), recipe("imagenet")) == IMAGENET


def test_archives_in_a_folder_are_sources_of_today_as_named_ones_are(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").touch()
    clothes = entry(recipe="fashion-mnist", source=str(tmp_path))
    study = load_study(Path("config/fashion.yaml"), STAGES)
    study = study.model_copy(update={"data": {"clothes": clothes}})

    found = sources_today(study, FOLDER)

    assert found == {"clothes": {"train-images": tmp_path / "train-images-idx3-ubyte"}}


def test_missing_weights_are_listed_once_with_the_rows_that_take_them(tmp_path):
    weights = {"entry": None, "prefix": "", "ignore": [], "mean": [0.5] * 3, "std": [0.5] * 3}
    here = tmp_path / "here.pth"
    here.write_bytes(b"")
    paths = {"a": tmp_path / "dino.pth", "b": tmp_path / "dino.pth", "c": here, "d": "later.pth"}
    text = "study: x\ntitle: A study\nscale: demo\ndata:\n  d: {recipe: demo}\nencoders:\n"
    text += "".join(f"  {r}: {{label: L, recipe: r, data: d, seeds: [0]}}\n" for r in paths)
    (tmp_path / "x.yaml").write_text(text)
    study = load_study(tmp_path / "x.yaml", STAGES)
    scratch = FOLDER / "pretrain/demo-scratch.yaml"
    recipes = {
        ("pretrain", row): load_recipe(
            "pretrain",
            scratch,
            {"encoder.checkpoint": weights | {"path": str(path), "sha256": "0a" * 32}},
        )
        for row, path in paths.items()
    }

    lines = missing_files(study, recipes, [], [], ["c", "b", "a"])

    assert lines == [f"{tmp_path}/dino.pth: weights of row 'a', 'b', sha256 {'0a' * 32}"]
