"""Bad input ends with one clear line and status 2, and leaves no result behind."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from folk.data.datasets import miniature
from tests.toy import folk

RECIPES = Path("config/recipes")


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in line, line


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of tiny images."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for number in range(2):
                pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "images"


def prepare(tmp_path: Path, source: Path) -> subprocess.CompletedProcess[str]:
    recipe = RECIPES / "prepare/image-folder.yaml"
    out = tmp_path / "out"
    return folk("prepare", "--recipe", recipe, "--source", source, "--out", out, "--name", "x")


def test_an_image_folder_is_prepared_and_split(tmp_path, images):
    done = prepare(tmp_path, images)
    assert done.returncode == 0, done.stderr
    dataset = tmp_path / "out/dataset.json"

    recipe = RECIPES / "split/demo-few.yaml"
    options = ["--recipe", recipe, "--dataset", dataset, "--name", "few", "--out", tmp_path / "few"]
    assert folk("split", *options, "--set", "per_class=1").returncode == 0
    refused(folk("split", *options, "--set", "per_class=5"), "2", "5")
    assert not (tmp_path / "few.work/keys.parquet").exists()


def test_a_missing_data_folder_is_named(tmp_path):
    refused(prepare(tmp_path, tmp_path / "nowhere"), "nowhere: no such file or folder")
    assert not (tmp_path / "out").exists()


def prepare_imagenet(tmp_path: Path, archives: dict[str, Path], *settings: str, scale="smoke"):
    words = [word for text in settings for word in ("--set", text)]
    words += [word for name, path in archives.items() for word in ("--archive", f"{name}={path}")]
    options = ["--recipe", RECIPES / "prepare/imagenet.yaml", "--name", "imagenet"]
    options += ["--scale", scale, "--out", tmp_path / "out"]
    return folk("prepare", *options, *words)


def test_archives_are_prepared_and_other_bytes_than_the_official_ones_refused(tmp_path):
    archives = miniature.imagenet(tmp_path / "in")
    small = ["archive.classes=3", "archive.images={train: 9, val: 4}"]
    small += [f"archive.files.{name}.md5=null" for name in ("val", "devkit")]

    done = prepare_imagenet(tmp_path, archives, *small)
    refused(done, "ILSVRC2012_img_train.tar", "md5", "1d675b47d978889d74fa0da5fadfb00e")

    done = prepare_imagenet(tmp_path, archives, *small, "archive.files.train.md5=null")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out/record.json").read_text())
    assert {entry["name"] for entry in record["inputs"]} == {
        "archive train", "archive val", "archive devkit",
    }  # fmt: skip
    assert record["metrics"] == {"num_train": 9.0, "num_val": 4.0}


def test_archives_that_the_recipe_lacks_or_does_not_get_are_named(tmp_path):
    archives = miniature.imagenet(tmp_path / "in")

    refused(prepare_imagenet(tmp_path, {"vall": archives["val"]} | archives), "mean 'val'")
    del archives["devkit"]
    refused(prepare_imagenet(tmp_path, archives), "'devkit'", "ILSVRC2012_devkit_t12.tar.gz")
    archives["devkit"] = tmp_path / "nowhere"
    refused(prepare_imagenet(tmp_path, archives), "--archive devkit", "no such file")
    done = folk(
        "prepare", "--recipe", RECIPES / "prepare/demo.yaml", "--name", "x", "--out",
        tmp_path / "out", "--archive", f"val={archives['val']}",
    )  # fmt: skip
    refused(done, "--archive val", "takes no archive; remove it")


def pretrain(tmp_path: Path, dataset: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    words = [word for text in settings for word in ("--set", text)]
    recipe = RECIPES / "pretrain/demo-mfm.yaml"
    options = ["--recipe", recipe, "--dataset", dataset, "--name", "mfm-s0", "--seed", 0]
    return folk("pretrain", *options, "--out", tmp_path / "mfm", *words)


@pytest.mark.slow
def test_wrong_recipes_and_settings_are_named(tmp_path, images):
    assert prepare(tmp_path, images).returncode == 0
    dataset = tmp_path / "out/dataset.json"

    refused(
        pretrain(tmp_path, dataset, "encoder.timm_name=vit_smal_patch16_224"),
        "unknown timm model 'vit_smal_patch16_224'",
        "did you mean 'vit_small_patch16_224'",
    )
    refused(pretrain(tmp_path, dataset, "optim.bacth=4"), "optim.bacth", "did you mean 'batch'")
    refused(pretrain(tmp_path, dataset, "optim.batch"), "expected KEY=VALUE")
    refused(pretrain(tmp_path, dataset), "4 images are fewer than one batch of 64")
    refused(pretrain(tmp_path, tmp_path / "dataset.json"), "no such file or folder")
    assert not (tmp_path / "mfm").exists()
    assert list((tmp_path / "mfm.work").glob("record-*.failed.json"))


def test_weights_that_are_not_there_are_named(tmp_path, images):
    assert prepare(tmp_path, images).returncode == 0
    checkpoint = (
        "{path: nowhere.pth, sha256: '" + "0" * 64 + "', entry: null, prefix: '', ignore: [],"
        " mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}"
    )
    settings = ["method=null", "optim=null", f"encoder.checkpoint={checkpoint}"]

    done = pretrain(tmp_path, tmp_path / "out/dataset.json", *settings)

    refused(done, "nowhere.pth: no such file", "nothing is downloaded")
