"""A study of official archives: planned without them, refused at once, run with them."""

import json

import pytest

from folk.data.datasets import miniature
from tests.toy import OF_ARCHIVES

pytestmark = pytest.mark.slow

PAPER = "config/paper.yaml"
STUDIES = [f"config/{name}.yaml" for name in OF_ARCHIVES]
SMALL = """    set:
      archive.classes: 3
      archive.images: {train: 9, val: 4}
      archive.files.train.md5: null
      archive.files.val.md5: null
      archive.files.devkit.md5: null
"""


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_of_archives_is_planned_without_data(clean_copy, study):
    done = clean_copy.snakemake("-n", study=study)

    assert done.returncode == 0, done.stderr + done.stdout


def test_a_real_run_without_data_ends_before_its_first_job_with_all_that_is_missing(clean_copy):
    done = clean_copy.snakemake(study=PAPER)
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert said.count("these files are to be provided") == 1
    for words in ("train.tar, md5 1d675b47", "val.tar, md5 29b22e29", "tar.gz, md5 fa75699e"):
        assert words in said
    assert "data/10percent.txt: list of split 'ten-percent', sha256 6d09de11" in said
    assert not (clean_copy.folder / "results").exists()


def test_missing_weights_stand_in_the_same_list(clean_copy):
    recipe = "base: scratch-vit-base\nabout: {reproduces: a row, hardware: any, expected: any}\n"
    recipe += "encoder: {checkpoint: {path: data/dino.pth, sha256: %s, entry: null, prefix: '',\n"
    recipe += "  ignore: [], mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}\n"
    path = clean_copy.folder / "config/recipes/pretrain/dino.yaml"
    path.write_text(recipe % ("0a" * 32))
    clean_copy.edit("config/paper.yaml", "recipe: scratch-vit-base", "recipe: dino")

    assert clean_copy.snakemake("-n", study=PAPER).returncode == 0
    done = clean_copy.snakemake(study=PAPER)
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert said.count("these files are to be provided") == 1
    assert f"data/dino.pth: weights of row 'scratch-vitb', sha256 {'0a' * 32}" in said
    assert "train.tar, md5 1d675b47" in said


def test_archives_go_through_the_rule(clean_copy):
    miniature.imagenet(clean_copy.folder / "data")
    kit = "      devkit: data/ILSVRC2012_devkit_t12.tar.gz\n"
    clean_copy.edit("config/paper.yaml", kit, kit + SMALL)
    clean_copy.edit("config/paper.yaml", "scale: paper", "scale: smoke")

    target = "results/paper/prepare/imagenet/dataset.json"
    done = clean_copy.snakemake("--", target, study=PAPER)

    assert done.returncode == 0, done.stderr
    folder = clean_copy.folder / "results/paper/prepare/imagenet"
    assert json.loads((folder / "dataset.json").read_text())["wnids"] == list(miniature.WNIDS)
    assert sorted(p.name for p in (folder / "shards").glob("*.arrow")) == [
        "train-00000.arrow",
        "val-00000.arrow",
    ]


def test_an_archive_that_the_recipe_does_not_know_is_refused_even_in_a_dry_run(clean_copy):
    clean_copy.edit("config/paper.yaml", "      devkit: data", "      devkti: data")

    done = clean_copy.snakemake("-n", study=PAPER)

    assert done.returncode != 0
    assert "did you mean 'devkit'" in done.stdout + done.stderr


def test_a_study_that_reads_other_bytes_than_the_official_ones_is_refused(clean_copy):
    kit = "      devkit: data/ILSVRC2012_devkit_t12.tar.gz\n"
    clean_copy.edit("config/paper.yaml", kit, kit + SMALL)
    old = "list: data/10percent.txt"
    clean_copy.edit("config/paper.yaml", old, f"{old}, set: {{list_sha256: {'a' * 64}}}")

    done = clean_copy.snakemake("-n", study=PAPER)
    said = done.stdout + done.stderr

    assert done.returncode != 0
    for key in ("archive.files.train.md5", "archive.files.devkit.md5", "list_sha256"):
        assert said.count(f"{key}: config/recipes") == 1
    assert "only a smoke run may read other bytes" in said
