"""What FOLK's main text states is sourced in its recipes, and what it leaves open is assumed."""

from pathlib import Path

import pytest

from folk.evidence.core.yaml_model import flattened
from folk.stages.table import load_recipe

FOLDER = Path("config/recipes")

# Open in the main text: the filter, wherever Com and RCom are used.
OPEN_OF_THE_FILTER = {
    "method.filter.threshold_mode",  # what the threshold is a share of
    "method.filter.threshold_draw",  # whether the views share a draw
    "method.filter.pairing",
    "method.filter.gray",
    "method.filter.dc",
}
# Open in the main text: FOLK's own training.
OPEN_OF_THE_METHOD = {
    "encoder.init",
    "encoder.timm_args",  # stochastic depth
    "method.reconstruction.filter_stage",
    "method.reconstruction.clamp",
    "method.reconstruction.form",  # of the norm, its denominator and exponent
    "method.reconstruction.normalize",
    "method.reconstruction.gamma",
    "method.distillation.reduce",
    "method.distillation.encoder",
    "method.distillation.teacher_view",
    "method.distillation.head",
    "method.distillation.norm_last_layer",
    "method.distillation.out_dim",
    "method.distillation.hidden_dim",
    "method.distillation.bottleneck_dim",
    "method.distillation.freeze_last_layer_epochs",
    "method.distillation.student_temperature",
    "method.distillation.teacher_temperature",
    "method.distillation.teacher_temperature_start",
    "method.distillation.teacher_temperature_warmup_epochs",
    "method.distillation.center_momentum",
    "method.distillation.ema_start",
    "method.distillation.ema_end",
    "method.distillation.ema_every",
    "views.min_scale",
    "optim.*",
}
# Stated in the main text.
STATED_OF_THE_FILTER = {
    "method.filter.kind",
    "method.filter.thresholds",
    "method.filter.p_com",
    "method.filter.mask_channels",
}
STATED_OF_THE_METHOD = {
    "method.reconstruction.region",
    "method.reconstruction.decoder_depth",
    "method.distillation.alpha",
    "method.distillation.feature",
    "views.augment",
    "views.size",
}
# Ours, where MFM's code is known and we do otherwise.
DEVIATIONS = {"method.reconstruction.normalize", "optim.precision"}

FOLK = ["folk-vit-small", "folk-vit-base", "folk-resnet50"]
FILTERS_ALONE = ["mfm-com-vit-small", "mfm-com-vit-base", "mfm-com-resnet50"]
# A few labels: rate, warm-up and length are stated, the rest is MFM's fine-tuning.
STATED_OF_FEW = {
    "optim.epochs",
    "optim.lr",
    "optim.warmup_epochs",
    "optim.lr_warmup_start",
    "optim.lr_min",
}
OPEN_OF_FEW = {"optim.*", "augment.*", "drop_path", "loss"}
FEW = sorted(path.stem for path in (FOLDER / "finetune").glob("few-*.yaml"))


def marked(stage, name):
    """The leaves of a recipe that are assumed and those that are sourced, by the nearest mark."""
    recipe = load_recipe(stage, FOLDER / stage / f"{name}.yaml")
    prose = {"about", "source", "assume", "runtime"}
    leaves = flattened(recipe.model_dump(exclude=prose, exclude_unset=True))
    assumed, sourced = set(), set()
    for leaf in leaves:
        marks = [key for key in recipe.source | recipe.assume if f"{leaf}.".startswith(f"{key}.")]
        nearest = max(marks, key=len)
        assert not (nearest in recipe.source and nearest in recipe.assume), nearest
        (sourced if nearest in recipe.source else assumed).add(leaf)
    return assumed, sourced


def leaves_of(keys, leaves):
    sections = tuple(key.removesuffix("*") for key in keys if key.endswith(".*"))
    return {leaf for leaf in leaves if leaf in keys or leaf.startswith(sections or ("\0",))}


@pytest.mark.parametrize("name", FOLK)
def test_folks_recipes_assume_what_its_main_text_leaves_open_and_nothing_else(name):
    assumed, sourced = marked("pretrain", name)

    assert assumed == leaves_of(OPEN_OF_THE_FILTER | OPEN_OF_THE_METHOD, assumed | sourced)
    assert sourced >= STATED_OF_THE_FILTER | STATED_OF_THE_METHOD


@pytest.mark.parametrize("name", FILTERS_ALONE)
def test_the_rows_that_ran_on_mfms_code_assume_the_filter_alone(name):
    assumed, sourced = marked("pretrain", name)

    assert assumed == OPEN_OF_THE_FILTER | DEVIATIONS
    assert sourced >= STATED_OF_THE_FILTER


@pytest.mark.parametrize("name", FEW)
def test_few_label_recipes_assume_all_but_rate_warm_up_and_length(name):
    assumed, sourced = marked("finetune", name)

    assert sourced >= STATED_OF_FEW
    assert assumed >= leaves_of(OPEN_OF_FEW, assumed | sourced) - STATED_OF_FEW


def test_the_few_label_list_is_an_assumption():
    assumed, _ = marked("split", "ten-percent")

    assert "list_sha256" in assumed


@pytest.mark.parametrize("name", ["folk-vit-small", "folk-vit-base"])
def test_how_folks_own_rows_are_fine_tuned_is_an_assumption(name):
    assumed, sourced = marked("finetune", name)

    open_too = {"drop_path", "loss", "evaluate.resize"}
    assert {"optim.epochs", "optim.lr", "optim.layer_decay", "augment.mixup"} | open_too <= assumed
    assert not open_too & sourced


def test_what_is_assumed_is_the_reading_that_was_agreed():
    recipe = load_recipe("pretrain", FOLDER / "pretrain/folk-vit-small.yaml")
    distillation, reconstruction = recipe.method.distillation, recipe.method.reconstruction
    chosen = recipe.method.filter

    assert (chosen.threshold_mode, chosen.threshold_draw) == ("fraction", "view")
    assert (chosen.pairing, chosen.gray, chosen.dc) == ("independent", "bt601", "by_magnitude")
    assert (distillation.alpha, distillation.reduce, distillation.encoder) == (
        1.0,
        "sum",
        "teacher",
    )
    assert (distillation.head, distillation.out_dim) == ("dino", 65_536)
    assert (distillation.teacher_view, distillation.norm_last_layer) == ("full", True)
    assert distillation.student_temperature == 0.1
    assert distillation.teacher_temperature == distillation.teacher_temperature_start == 0.04
    assert distillation.teacher_temperature_warmup_epochs == 0
    assert (distillation.ema_start, distillation.ema_end, distillation.ema_every) == (0.996, 1.0, 1)
    assert (reconstruction.form, reconstruction.normalize, reconstruction.gamma) == (
        "mfm", "batch", 1.0,
    )  # fmt: skip
    assert (reconstruction.clamp, reconstruction.filter_stage) == (True, "before")
    assert (recipe.views.min_scale, recipe.views.max_scale) == (0.14, 1.0)


@pytest.mark.parametrize("name", [*FOLK, *FILTERS_ALONE])
def test_com_is_as_probable_as_rcom_for_every_encoder(name):
    recipe = load_recipe("pretrain", FOLDER / f"pretrain/{name}.yaml")

    assert recipe.method.filter.p_com == 0.5
