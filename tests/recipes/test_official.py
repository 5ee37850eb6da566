"""A study cannot quietly read other bytes than those whose digests are published."""

from pathlib import Path

import pytest

from folk.stages.recipes.official import changed_digests

FOLDER = Path("config/recipes")
TRAIN = "1d675b47d978889d74fa0da5fadfb00e"


def changed(stage, name, overrides):
    return changed_digests(stage, FOLDER / stage / f"{name}.yaml", overrides)


@pytest.mark.parametrize("value", [None, "0" * 32])
def test_a_changed_or_removed_digest_of_an_archive_is_named(value):
    (line,) = changed("prepare", "imagenet", {"archive.files.train.md5": value})

    assert line.startswith("archive.files.train.md5: config/recipes/prepare/imagenet.yaml")
    assert TRAIN in line
    assert f"makes it {value or 'null'}" in line


def test_a_changed_digest_is_found_in_a_nested_value_too():
    nested = {"archive": {"files": {"val": {"md5": None}}}}

    assert len(changed("prepare", "imagenet", nested)) == 1


def test_another_list_than_the_official_one_is_named():
    (line,) = changed("split", "ten-percent", {"list_sha256": None, "per_class": 13})

    assert line.startswith("list_sha256: ")
    assert changed("split", "ten-percent", {"list_sha256": "0" * 64})


@pytest.mark.parametrize(
    ("stage", "name", "overrides"),
    [
        ("prepare", "imagenet", {}),
        ("prepare", "imagenet", {"archive.files.train.md5": TRAIN}),
        ("prepare", "imagenet", {"archive.images": None}),
        ("prepare", "imagenet-a", {"archive.files.images.md5": "0" * 32}),  # none is published
        ("prepare", "demo", {"scenes.num_train": 30}),
        ("split", "demo-few", {"per_class": 3}),
        ("pretrain", "mfm-vit-base", {"optim.epochs": 3, "optim.warmup_epochs": 0.0}),
    ],
)
def test_what_leaves_the_digests_alone_is_free(stage, name, overrides):
    assert changed(stage, name, overrides) == []
