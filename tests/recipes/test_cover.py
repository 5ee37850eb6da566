"""What is kept of a study uses every recipe of it, and hardly anything twice."""

from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.study.study import load_study
from folk.stages.recipes.cover import cover_of
from folk.stages.recipes.named import recipes_of
from folk.stages.table import STAGES
from tests.toy import OF_ARCHIVES

CONFIG = Path("config")
PATH = CONFIG / "small.yaml"  # where the recipes of this study stand
SMALL = """
study: small
title: small
scale: paper
data:
  imagenet: {recipe: imagenet, archives: {train: a, val: b, devkit: c}}
  a: {recipe: imagenet-a, archives: {images: a}}
  r: {recipe: imagenet-r, archives: {images: a}}
  spare: {recipe: imagenet-v2, archives: {images: a}}
splits:
  few: {data: imagenet, recipe: ten-percent, list: few.txt}
encoders:
  mfm: {label: x, recipe: mfm-vit-base, data: imagenet, seeds: [0, 1, 2]}
  wide:
    {label: x, recipe: mfm-vit-base, data: imagenet, seeds: [0], set: {method.filter.radius: 8.0}}
  folk: {label: x, recipe: folk-vit-base, data: imagenet, seeds: [0]}
  small:
    label: x
    recipe: mfm-vit-base
    data: imagenet
    seeds: [0]
    set: {encoder.timm_name: vit_small_patch16_224}
evaluations:
  full: {stage: finetune, recipe: mfm-vit-base, data: imagenet}
  again: {stage: finetune, recipe: mfm-vit-base, data: imagenet, encoders: [mfm]}
  few: {stage: finetune, recipe: few-a-vit-base, data: imagenet, split: few, encoders: [wide, folk]}
  on-a:
    {stage: robustness, recipe: imagenet, data: [imagenet, a], classifier: few, encoders: [folk]}
  on-r: {stage: robustness, recipe: imagenet, data: [imagenet, r], classifier: full}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return load_study(path, STAGES)


def test_a_row_that_only_changes_values_is_left_out_and_another_encoder_is_not(small):
    assert cover_of(small, recipes_of(small, PATH)).rows == ["mfm", "folk", "small"]


def test_an_evaluation_is_kept_for_one_row_and_brings_its_classifier_with_it(small):
    cover = cover_of(small, recipes_of(small, PATH))

    assert cover.evaluations == {
        "full": ["mfm", "small"],
        "few": ["folk"],
        "on-a": ["folk"],
        "on-r": ["small"],
    }


def test_data_that_nothing_reads_is_kept_for_its_recipe(small):
    assert cover_of(small, recipes_of(small, PATH)).data == ["imagenet", "a", "r", "spare"]


def test_named_rows_are_kept_and_no_others(small):
    cover = cover_of(small, recipes_of(small, PATH), ["wide"])

    assert cover.rows == ["wide"]
    assert cover.evaluations == {"full": ["wide"], "few": ["wide"], "on-r": ["wide"]}
    assert cover.data == ["imagenet", "r"]
    with pytest.raises(InputError, match="--rows wid: unknown encoder row; did you mean 'wide'"):
        cover_of(small, recipes_of(small, PATH), ["wid"])


@pytest.mark.parametrize("name", OF_ARCHIVES)
def test_every_recipe_of_a_study_is_used_by_what_is_kept_of_it(name):
    path = CONFIG / f"{name}.yaml"
    study = load_study(path, STAGES)

    cover = cover_of(study, recipes_of(study, path))

    def kept_and_all(entries, kept):
        return {entries[name].recipe for name in kept}, {e.recipe for e in entries.values()}

    for entries, kept in ((study.data, cover.data), (study.splits, cover.splits),
                          (study.encoders, cover.rows)):  # fmt: skip
        used, named = kept_and_all(entries, kept)
        assert used == named
    used, named = (
        {(study.evaluations[name].stage, study.evaluations[name].recipe) for name in names}
        for names in (cover.evaluations, study.evaluations)
    )
    assert used == named
    assert all(row in study.rows_of(n) for n, rows in cover.evaluations.items() for row in rows)
    assert all(row in cover.rows for rows in cover.evaluations.values() for row in rows)
    assert set(cover.rows) <= set(study.encoders)
