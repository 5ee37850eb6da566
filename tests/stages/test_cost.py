"""Costs are those of the row that is measured, and say which of them are the machine's."""

import json
from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.stages.table import load_recipe
from tests.toy import do_stage

RECIPES = Path("config/recipes")
STEP = {"step": {"batch": 4, "warmup": 1, "updates": 2}}


def measure(work, dataset, row, settings=STEP):
    return do_stage(
        "cost",
        load_recipe("cost", RECIPES / "cost/demo.yaml", settings),
        work,
        name=f"{row}-s0",
        dataset=dataset,
        pretrain_recipe=RECIPES / f"pretrain/{row}.yaml",
        pretrain_set=[] if row == "demo-scratch" else ["optim.batch=64"],
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory, few_scenes):
    work = tmp_path_factory.mktemp("cost")
    return work, {r: measure(work / r, few_scenes, f"demo-{r}") for r in ("mfm", "folk")}


def test_the_forward_pass_of_a_vit_is_counted_as_by_hand(found):
    _, by_row = found
    tokens, width = 17, 64
    block = 2 * tokens * width * (3 * width + width + 2 * 4 * width) + 4 * tokens**2 * width
    depth = load_recipe("pretrain", RECIPES / "pretrain/demo-mfm.yaml").encoder.timm_args["depth"]
    by_hand = 2 * 16 * (3 * 8 * 8) * width + depth * block

    assert by_row["mfm"]["forward_gflops"] == pytest.approx(by_hand / 1e9, rel=1e-9)
    assert by_row["mfm"]["parameters"] == by_row["folk"]["parameters"]


def test_two_views_and_a_teacher_cost_between_two_and_three_times_one_view(found):
    _, by_row = found

    assert 2.0 < by_row["folk"]["step_gflops"] / by_row["mfm"]["step_gflops"] < 3.0
    assert by_row["folk"]["step_parameters"] > by_row["mfm"]["step_parameters"]


def test_times_are_derived_from_one_another(found):
    work, by_row = found
    timed = [json.loads(text) for text in (work / "folk/metrics.jsonl").read_text().splitlines()]
    values = by_row["folk"]

    assert len(timed) == 2
    assert values["seconds_per_update"] == pytest.approx(sum(t["seconds"] for t in timed) / 2)
    assert values["images_per_second"] == pytest.approx(4 / values["seconds_per_update"])
    # 180 images fill 2 batches of 64.
    assert values["seconds_per_epoch"] == pytest.approx(128 / values["images_per_second"])
    epochs = load_recipe("pretrain", RECIPES / "pretrain/demo-folk.yaml").optim.epochs
    assert values["hours_total"] == pytest.approx(epochs * values["seconds_per_epoch"] / 3600)


def test_the_card_says_what_belongs_to_the_machine(found):
    work, by_row = found
    card = json.loads((work / "mfm/cost.json").read_text())

    assert card["memory"] == "growth of the resident set"
    assert set(card["of_one_machine"]) == {
        "hours_total", "images_per_second", "peak_memory_mib", "seconds_per_epoch",
        "seconds_per_update",
    }  # fmt: skip
    assert by_row["mfm"]["on_gpu"] == 0.0


def test_what_is_not_the_machines_is_repeated_exactly(found, tmp_path, few_scenes):
    _, by_row = found
    again = measure(tmp_path, few_scenes, "demo-mfm")

    for metric in ("parameters", "forward_gflops", "step_parameters", "step_gflops"):
        assert again[metric] == by_row["mfm"][metric]


def test_a_row_without_pre_training_has_no_step(tmp_path, few_scenes):
    with pytest.raises(InputError, match="cost of 'demo-scratch-s0': the row is not pre-trained"):
        measure(tmp_path, few_scenes, "demo-scratch")

    alone = measure(tmp_path, few_scenes, "demo-scratch", {"step": None})
    assert alone.keys() == {"parameters", "forward_gflops", "on_gpu"}
