"""The second embedded study shows every method and stage, and may be compared with nothing."""

from pathlib import Path

import pytest

from folk.evidence.results.compared import check_comparisons
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.recipes import result_values
from folk.stages.recipes.named import recipe_of
from folk.stages.table import STAGES

CONFIG = Path("config")
PATH = CONFIG / "demo-full.yaml"
RECIPES = CONFIG / "recipes"
STUDY = load_study(PATH, STAGES)
DEMO = load_study(CONFIG / "demo.yaml", STAGES)
ROWS = {name: recipe_of(RECIPES, "pretrain", row) for name, row in STUDY.encoders.items()}
METRICS = {
    "probe": {"linear_top1_last", "knn_top1_k20"},
    "robustness": {"top1_clean", "top1_fgsm", "top1_pgd", "error_in-memory"},
    "cost": {"step_parameters", "step_gflops", "peak_memory_mib", "seconds_per_epoch"},
}


def kind(recipe):
    """Filter or degradation, and whether it is distilled."""
    if recipe.method is None:
        return None
    part = recipe.method.filter or recipe.method.degradation
    return part.kind, recipe.method.distillation is not None


def test_every_method_and_both_kinds_of_encoder_have_a_row():
    vits = {kind(r) for r in ROWS.values() if r.encoder.timm_name.startswith("vit")}
    resnets = {kind(r) for r in ROWS.values() if r.encoder.timm_name.startswith("resnet")}

    assert vits == {
        None,
        *[("radial", distilled) for distilled in (False, True)],
        *[("com-rcom", distilled) for distilled in (False, True)],
        *[(name, False) for name in ("gabor", "sr", "deblur", "denoise")],
    }
    assert resnets == {None, ("radial", False), ("com-rcom", True)}


def test_the_grid_of_filters_and_distillation_differs_in_nothing_else():
    for plain, distilled in (("mfm", "mfm-distill"), ("mfm-com", "folk")):
        alone, taught = ROWS[plain].method, ROWS[distilled].method
        own = {"pairing"}  # the coins of one view have no partner
        assert alone.filter.model_dump(exclude=own) == taught.filter.model_dump(exclude=own)
    circles, folk = result_values(ROWS["mfm-distill"]), result_values(ROWS["folk"])
    for values in (circles, folk):
        del values["method"]["filter"]

    assert circles == folk


@pytest.mark.parametrize("stage", sorted({e.stage for e in STUDY.evaluations.values()}))
def test_recipes_of_every_evaluation_are_sound_and_tables_show_them(stage):
    names = [name for name, entry in STUDY.evaluations.items() if entry.stage == stage]
    for name in names:
        recipe_of(RECIPES, stage, STUDY.evaluations[name])
    shown = {
        column.metric
        for table in STUDY.tables.values()
        for column in table.columns.values()
        if set(column.evaluations) & set(names)
    }

    assert METRICS.get(stage, {"top1_last"}) <= shown


def test_both_studies_together_run_every_stage():
    stages = {entry.stage for study in (STUDY, DEMO) for entry in study.evaluations.values()}

    assert stages == {"finetune", "probe", "segment", "robustness", "cost"}
    assert recipe_of(RECIPES, "probe", STUDY.evaluations["frozen"]).kshot is not None
    assert [STUDY.evaluations[n].split for n in ("full", "few")] == [None, "few"]


def test_every_cell_will_have_a_number():
    for name, table in STUDY.tables.items():
        for row in table.rows:
            for column in table.columns.values():
                for evaluation in column.evaluations:
                    assert row in STUDY.rows_of(evaluation), f"{name}/{row} in {evaluation}"


def test_every_row_and_evaluation_is_shown_in_a_table():
    rows = {row for table in STUDY.tables.values() for row in table.rows}
    shown = {
        name
        for table in STUDY.tables.values()
        for column in table.columns.values()
        for name in column.evaluations
    }

    assert rows == set(STUDY.encoders)
    assert shown == set(STUDY.evaluations)


def test_every_published_number_may_stand_where_it_does():
    check_comparisons(STUDY, load_published(CONFIG / "published"))

    named = {wanted for table in STUDY.tables.values() for wanted in table.published.values()}
    assert {f"mfm-readme-{task}-vitb" for task in ("sr", "deblur", "denoise", "mfm")} <= named
    assert STUDY.scale == "demo"


def test_errors_memory_and_times_are_better_low():
    low = {"error", "parameters", "step_parameters", "forward_gflops", "step_gflops"}
    low |= OF_ONE_MACHINE - {"images_per_second"}
    for table in STUDY.tables.values():
        for column in table.columns.values():
            expected = column.metric in low or column.metric.split("_")[0] in low
            assert (column.better == "lower") == expected, column.label


def test_the_rows_of_the_demo_differ_from_those_of_fashion_in_epochs_and_one_in_its_rate():
    fashion = load_study(CONFIG / "fashion.yaml", STAGES)
    for row, entry in DEMO.encoders.items():
        assert entry.recipe == fashion.encoders[row].recipe
        changes_a_result = {key for key in entry.overrides if not key.startswith("runtime.")}
        assert changes_a_result - {"optim.epochs"} == ({"optim.lr"} if row == "mfm-com" else set())
