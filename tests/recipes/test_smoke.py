"""A smoke run cuts lengths and batches, and no shape."""

from pathlib import Path

import pytest

from folk.evidence.core.yaml_model import flattened
from folk.stages.recipes import result_values
from folk.stages.recipes.smoke import laid_over, metric_left
from folk.stages.table import load_recipe

FOLDER = Path("config/recipes")
LENGTHS = {
    "pretrain": {
        "optim.epochs", "optim.batch", "optim.warmup_epochs",
        "method.distillation.teacher_temperature_warmup_epochs",
        "method.distillation.freeze_last_layer_epochs",
    },
    "finetune": {"optim.epochs", "optim.batch", "optim.warmup_epochs", "evaluate_every"},
    "probe": {"linear.epochs", "linear.batch", "kshot.shots", "kshot.seeds"},
    "segment": {"optim.updates", "optim.batch", "optim.warmup_updates"},
    "robustness": {"attack.pgd_steps"},
    "cost": {"step.batch", "step.warmup", "step.updates"},
}  # fmt: skip
RECIPES = [(stage, path) for stage in LENGTHS for path in sorted((FOLDER / stage).glob("*.yaml"))]


@pytest.mark.parametrize(("stage", "path"), RECIPES, ids=[f"{s}/{p.stem}" for s, p in RECIPES])
def test_nothing_but_lengths_and_batches_of_a_recipe_changes(stage, path):
    whole = load_recipe(stage, path)
    cut = load_recipe(stage, path, whole.cuts())
    before, after = flattened(result_values(whole)), flattened(result_values(cut))

    changed = {key for key in before if before[key] != after[key]}

    assert set(before) == set(after)
    assert changed <= LENGTHS[stage]
    for key in changed & {"optim.epochs", "linear.epochs"}:
        assert after[key] == 1
    for key in changed & {"optim.updates", "step.updates", "optim.batch", "step.batch"}:
        assert after[key] == 2


def test_somebody_elses_weights_are_not_needed():
    weights = {
        "path": "dino.pth", "sha256": "0" * 64, "entry": None, "prefix": "", "ignore": [],
        "mean": [0.5] * 3, "std": [0.5] * 3,
    }  # fmt: skip
    path, own = FOLDER / "pretrain/scratch-vit-base.yaml", {"encoder.checkpoint": weights}
    external = load_recipe("pretrain", path, own)

    short = load_recipe("pretrain", path, laid_over(own, external.cuts()))

    assert short.encoder.checkpoint is None
    assert short.method is None


def test_the_values_of_a_smoke_run_decide_over_those_of_the_study():
    own = {"optim": {"epochs": 800, "lr": 1e-4}, "optim.batch": 4096}

    values = laid_over(own, {"optim.batch": 2, "optim.epochs": 1, "optim.warmup_epochs": 0.0})
    recipe = load_recipe("pretrain", FOLDER / "pretrain/mfm-vit-base.yaml", values)

    assert (recipe.optim.epochs, recipe.optim.batch, recipe.optim.lr) == (1, 2, 1e-4)


def test_a_column_of_shots_that_are_cut_shows_those_that_are_left():
    path = FOLDER / "probe/imagenet-vit-small.yaml"
    kshot = {
        "shots": [1, 5], "seeds": [0], "weight_decay": 0.0025, "center": "feature",
        "max_iterations": 10, "tolerance": 1.0e-3,
    }  # fmt: skip
    few, none = (load_recipe("probe", path, {"kshot": each}) for each in (kshot, None))

    assert metric_left("kshot_top1_5", [few]) == "kshot_top1_1"
    assert metric_left("knn_top1_k20", [few]) == "knn_top1_k20"
    # What the recipe does not measure must not be found in a smoke run either.
    assert metric_left("kshot_top1_2", [few]) == "kshot_top1_2"
    assert metric_left("kshot_top1_5", [none]) == "kshot_top1_5"
