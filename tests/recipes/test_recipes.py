"""Recipes are complete, typed, and say which of their values decide a result."""

from pathlib import Path

import pytest

from folk.errors import InputError
from folk.recipes import RECIPES, load_recipe, recipe_digest, result_values

FOLDER = Path("config/recipes")
MFM, FOLK = FOLDER / "pretrain/demo-mfm.yaml", FOLDER / "pretrain/demo-folk.yaml"


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_every_recipe_of_the_repository_is_sound(path):  # fmt: skip
    assert isinstance(load_recipe(path.parent.name, path), RECIPES[path.parent.name])


def test_a_based_recipe_changes_only_what_it_says():
    mfm, folk = load_recipe("pretrain", MFM), load_recipe("pretrain", FOLK)

    assert folk.encoder == mfm.encoder
    assert folk.method.filter.kind == "com-rcom"
    assert mfm.method.distillation is None


def test_prose_and_runtime_do_not_decide_a_result():
    recipe = load_recipe("pretrain", MFM)
    other = load_recipe("pretrain", MFM, {"runtime.workers": 3, "about.expected": "else"})
    changed = load_recipe("pretrain", MFM, {"optim.lr": 0.5})

    assert recipe_digest(other) == recipe_digest(recipe)
    assert recipe_digest(changed) != recipe_digest(recipe)
    assert "about" not in result_values(recipe)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optim.lrr", 0.1, "optim.lrr: unknown key.*lr"),
        ("optim.epochs", "ten", "valid integer"),
        ("optim.epochs", 0, "greater than or equal to 1"),
        ("method.filter.kind", "circle", "radial"),
        ("optim", None, "give both 'method' and 'optim'"),
        ("optim.warmup_epochs", 99.0, "leaves nothing"),
        ("assume", {"optim.nothing": "why"}, "which this recipe lacks"),
    ],
)
def test_a_bad_value_is_refused_by_name(key, value, message):
    with pytest.raises(InputError, match=message):
        load_recipe("pretrain", MFM, {key: value})


def test_an_error_in_a_base_is_shown_in_the_file_where_it_stands(tmp_path):
    (tmp_path / "base.yaml").write_text(MFM.read_text().replace("epochs: 1", "epochs: -1", 1))
    (tmp_path / "above.yaml").write_text("base: base\nmethod: {distillation: null}\n")

    with pytest.raises(InputError, match=r"base\.yaml:\d+: optim\.epochs"):
        load_recipe("pretrain", tmp_path / "above.yaml")


def test_bases_that_lead_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b\n")
    (tmp_path / "b.yaml").write_text("base: a\n")

    with pytest.raises(InputError, match="leads back to itself"):
        load_recipe("pretrain", tmp_path / "a.yaml")


def test_a_changed_value_loses_the_source_of_its_base(tmp_path):
    text = MFM.read_text() + "source: {optim.lr: MFM, optim.eps: MFM}\n"
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "above.yaml").write_text("base: base\noptim: {lr: 0.5}\n")

    recipe = load_recipe("pretrain", tmp_path / "above.yaml")

    assert recipe.source == {"optim.eps": "MFM"}
