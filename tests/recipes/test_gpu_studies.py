"""The studies for one GPU compare like with like, and ask for the hours that they name."""

import json
from collections import Counter
from pathlib import Path

import pytest

from folk.evidence.study.study import load_study
from folk.stages.recipes import result_values
from folk.stages.recipes.named import recipes_of
from folk.stages.table import STAGES

CONFIG = Path("config")
NAMES = ("one-gpu", "cifar")
STUDIES = {name: load_study(CONFIG / f"{name}.yaml", STAGES) for name in NAMES}
RECIPES = {
    name: dict(recipes_of(study, CONFIG / f"{name}.yaml")) for name, study in STUDIES.items()
}
TRAINED = ("mfm", "mfm-com", "folk", "dino")
NUM_TRAIN = 126_700  # of ImageNet-100, rounded up


def values(name, row):
    return result_values(RECIPES[name]["pretrain", row])


def finetuning(name, written):
    """The recipe of an evaluation as the study writes it; the same for each of its seeds."""
    study = STUDIES[name]
    key = next(key for key in study.evaluations if study.written_name(key) == written)
    return RECIPES[name]["finetune", key]


def gpu_hours(study):
    """Hours that the jobs ask for, each GPU's; the bound that `folk plan` prints."""
    jobs = Counter({"pretrain": len(list(study.runs()))})
    for name, evaluation in study.evaluations.items():
        rows = study.rows_of(name)
        jobs[evaluation.stage] += sum(len(study.encoders[row].seeds) for row in rows)
    asked = {stage: study.resources_of(stage) for stage in jobs}
    return sum(jobs[stage] * asked[stage].gpu * asked[stage].runtime / 60 for stage in jobs)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_the_same_encoder_and_every_trained_row_the_same_optimizer(name):
    first = values(name, "mfm")

    assert values(name, "scratch")["method"] is None
    for row in ("scratch", *TRAINED):
        assert values(name, row)["encoder"] == first["encoder"]
    for row in TRAINED:
        assert values(name, row)["optim"] == first["optim"]


@pytest.mark.parametrize("name", NAMES)
def test_neighboring_rows_differ_in_the_part_that_tells_them_apart(name):
    mfm, com, folk, dino = (values(name, row) for row in TRAINED)

    mfm["method"].pop("filter")
    com_filter, folk_filter = com["method"].pop("filter"), folk["method"].pop("filter")
    assert mfm == com
    assert com_filter == folk_filter
    assert dino["method"].pop("filter") == {"kind": "none"}
    weights = [each["method"]["reconstruction"].pop("weight") for each in (folk, dino)]
    assert weights == [1.0, 0.0]
    assert folk == dino


@pytest.mark.parametrize("name", NAMES)
def test_few_labels_are_shown_as_often_as_all_labels(name):
    few, full = (finetuning(name, written) for written in ("few", "full"))
    split = RECIPES[name]["split", "tenth"]

    assert few.optim.epochs * split.fraction == pytest.approx(full.optim.epochs)
    assert few.augment == full.augment


def test_each_of_two_pre_trainings_is_fine_tuned_five_times_on_one_gpu():
    study = STUDIES["one-gpu"]

    assert {tuple(row.seeds) for row in study.encoders.values()} == {(0, 1)}
    written = Counter(study.written_name(name) for name in study.evaluations)
    assert (written["full"], written["few"]) == (5, 5)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_will_have_a_number_and_every_evaluation_is_shown(name):
    study, shown = STUDIES[name], set()
    for table in study.tables.values():
        for column in table.columns.values():
            shown |= set(column.evaluations)
            for evaluation in column.evaluations:
                assert set(table.rows) <= set(study.rows_of(evaluation))

    assert shown == set(study.evaluations)
    assert study.scale == "demo"


@pytest.mark.parametrize(("name", "least", "most"), [("one-gpu", 24, 29), ("cifar", 1, 2)])
def test_a_study_asks_for_the_hours_that_it_names(name, least, most):
    assert least < gpu_hours(STUDIES[name]) < most


def test_a_day_of_one_gpu_rests_on_the_measured_rates():
    parts = json.loads(Path("results/bench/gpu.json").read_text())["parts"]
    study, recipes = STUDIES["one-gpu"], RECIPES["one-gpu"]

    def minutes(recipe, kind):
        rate = parts["d"]["found"][f"{kind}-vit-small, eager"]["images/s"]
        return NUM_TRAIN * recipe.optim.epochs / rate / 60

    for row, kind in zip(TRAINED, ("mfm", "mfm", "folk", "folk"), strict=True):
        needed = minutes(recipes["pretrain", row], kind)
        assert needed < study.resources_of("pretrain").runtime
    full = minutes(finetuning("one-gpu", "full"), "mfm")
    assert full < study.resources_of("finetune").runtime
