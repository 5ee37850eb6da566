"""Recipes are complete, typed, and say which of their values decide a result."""

from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.stages.recipes import recipe_digest, result_values
from folk.stages.table import RECIPES, load_recipe
from tests.faults.table import fault

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
        pytest.param(
            "optim.lrr",
            0.1,
            "optim.lrr: unknown key.*lr",
            marks=fault("Config", "an unknown key in a recipe", "refused by file, line and key"),
        ),
        pytest.param(
            "optim.epochs",
            "ten",
            "valid integer",
            marks=fault(
                "Config",
                "a recipe's value of a wrong type or out of its range",
                "refused by file, line and key",
            ),
        ),
        ("optim.epochs", 0, "greater than or equal to 1"),
        (
            "method.filter.kind",
            "circle",
            r"method\.filter\.kind: unknown 'circle'; known: .*radial",
        ),
        (
            "method.filter.kind",
            "radail",
            r"yaml:\d+: method\.filter\.kind: .*did you mean 'radial'",
        ),
        ("method.filter.radius", 0.0, r"yaml:\d+: method\.filter\.radius: .*greater than 0"),
        (
            "method.filter.radios",
            1.0,
            r"method\.filter\.radios: unknown key; did you mean 'radius'",
        ),
        ("method.filter", None, "expected one of 'filter' and 'degradation', got none"),
        ("method.filter", {"kind": "none"}, "nothing to predict; set reconstruction.weight: 0"),
        ("method.reconstruction.weight", 0.0, "weight: 0 needs distillation, got null"),
        ("method.degradation", {"kind": "sr", "factor": 8}, "got both"),
        ("encoder.checkpoint", {"sha256": "0123"}, r"encoder\.checkpoint\.sha256: .*pattern"),
        ("method.reconstruction.average_spectrum", True, r"average_spectrum mixes .* region: all"),
        ("method.reconstruction.decoder_depth", -1, "greater than or equal to 0"),
        ("optim", None, "expected both 'method' and 'optim'"),
        ("optim.warmup_epochs", 99.0, "must be below epochs"),
        ("assume", {"optim.nothing": "why"}, "of this recipe"),
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


@fault("Config", "recipes based on each other in a circle", "refused, with the circle")
def test_bases_that_lead_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b\n")
    (tmp_path / "b.yaml").write_text("base: a\n")

    with pytest.raises(InputError, match="forms a cycle"):
        load_recipe("pretrain", tmp_path / "a.yaml")


def test_a_changed_value_loses_the_source_of_its_base(tmp_path):
    text = MFM.read_text() + "source: {optim.lr: MFM, optim.eps: MFM}\n"
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "above.yaml").write_text("base: base\noptim: {lr: 0.5}\n")

    recipe = load_recipe("pretrain", tmp_path / "above.yaml")

    assert recipe.source == {"optim.eps": "MFM"}


DENOISE = {"method.filter": None, "method.degradation": {"kind": "denoise", "level": 75.0}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"reconstruction\.region: all"),
        ({"method.reconstruction.inverse": "abs"}, "region: all|inverse: real"),
    ],
)
def test_a_degradation_wants_the_whole_spectrum(changes, message):
    with pytest.raises(InputError, match=message):
        load_recipe("pretrain", MFM, {**DENOISE, **changes})


def test_a_degradation_goes_without_a_teacher():
    whole = {"method.reconstruction.region": "all"}

    assert load_recipe("pretrain", MFM, {**DENOISE, **whole}).method.degradation.level == 75.0
    with pytest.raises(InputError, match="distillation needs a filter"):
        load_recipe("pretrain", FOLK, {**DENOISE, **whole})


def test_the_restoration_recipes_differ_from_mfm_in_the_degradation_alone():
    folder = FOLDER / "pretrain"
    mfm = result_values(load_recipe("pretrain", folder / "mfm-vit-base.yaml"))
    for name, kind, clamp in (("sr", "sr", True), ("deblur", "deblur", False)):
        task = result_values(load_recipe("pretrain", folder / f"{name}-vit-base.yaml"))
        assert task["method"].pop("degradation")["kind"] == kind
        assert task["method"]["reconstruction"] == {
            **mfm["method"]["reconstruction"],
            "region": "all",
            "clamp": clamp,
        }
        assert {k: v for k, v in task.items() if k != "method"} == {
            k: v for k, v in mfm.items() if k != "method"
        }


CHECKPOINT = {
    "path": "vit.pth",
    "sha256": "0" * 64,
    "entry": None,
    "prefix": "",
    "ignore": [],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}


def test_somebody_elses_weights_are_not_trained_on():
    changes = {"encoder.checkpoint": CHECKPOINT}

    scratch = load_recipe("pretrain", FOLDER / "pretrain/demo-scratch.yaml", changes)
    assert scratch.encoder.checkpoint.prefix == ""
    with pytest.raises(InputError, match="is not trained further"):
        load_recipe("pretrain", MFM, changes)


def test_another_architecture_does_not_inherit_arguments():
    resnet = load_recipe("pretrain", MFM, {"encoder.timm_name": "resnet18"})
    narrow = load_recipe("pretrain", MFM, {"encoder.timm_args.embed_dim": 32})

    assert resnet.encoder.timm_args == {}
    kept = load_recipe("pretrain", MFM).encoder.timm_args["depth"]
    assert narrow.encoder.timm_args["depth"] == kept


THRESHOLDS = {"thresholds": [], "threshold_draw": "view", "pairing": "independent"}
COM = {"p_com": 0.5, "threshold_mode": "fraction", "gray": "mean", "mask_channels": "shared"}
GABOR = {
    "orientations": 4, "frequencies": [8.0, 16.0], "octaves": 1.0, "num_chosen": 9,
    "hide_prob": 0.5, "radius_size": None, "pairing": "independent",
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "section", "message"),
    [
        (
            "filter",
            {"kind": "com-rcom", "dc": "by_magnitude"} | COM | THRESHOLDS,
            r"thresholds: \[\] must be one or more numbers between 0 and 1",
        ),
        (
            "filter",
            {"kind": "random", "p_few": 0.5} | THRESHOLDS,
            r"thresholds: \[\] must be one or more numbers between 0 and 1",
        ),
        (
            "filter",
            {"kind": "gabor"} | GABOR,
            r"num_chosen: 9 of a bank of 8 \(orientations x frequencies\); lower it",
        ),
        (
            "degradation",
            {"kind": "deblur", "sigma": 5.0, "min_size": 7, "max_size": 20},
            "min_size 7 and max_size 20 must be odd, the first not larger",
        ),
    ],
)
def test_a_filter_or_degradation_whose_keys_do_not_fit_each_other_is_refused_in_the_recipe(
    key, section, message
):
    changes = {"method.filter": None, f"method.{key}": section}

    with pytest.raises(InputError, match=rf"demo-mfm\.yaml:\d+: method\.{key}: {message}"):
        load_recipe("pretrain", MFM, changes)


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("segment", {"window.size": 64}, r"window\.size 64 must equal augment\.crop 32"),
        ("segment", {"window.stride": 33}, r"window\.stride 33 leaves gaps"),
        ("probe", {"knn.k": [20, 20]}, r"knn: k \[20, 20\]: duplicate value"),
        ("probe", {"knn.k": []}, r"knn\.k: .*at least 1"),
        ("probe", {"linear.feature": "last-cls"}, r"linear\.feature: .*'last-4-cls'"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(stage, changes, message):
    with pytest.raises(InputError, match=message):
        load_recipe(stage, FOLDER / stage / "demo.yaml", changes)
