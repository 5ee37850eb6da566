"""Recipes that are valid alone and wrong together end a study before its first job."""

import json
import re
from pathlib import Path

import pytest

from folk.cli import fits
from folk.cli.fits import Fits
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document
from folk.evidence.study.study import load_study
from folk.stages.recipes.named import recipes_of
from folk.stages.table import STAGES, load_recipe
from tests.faults.table import fault

RECIPES = Path("config/recipes").resolve()
TINY = Path("tests/workflow/tiny.yaml").resolve()
ONLY = "the encoder takes images of 32 pixels only; set it to 32"


def problem(stage, recipe, values, row):
    """What the process with torch says of a recipe and a row of the demo's."""
    from folk.stages.fit import problem_of  # torch, which few tests here need

    of_row = load_recipe("pretrain", RECIPES / "pretrain/demo-folk.yaml", row)
    own = of_row if stage == "pretrain" else load_recipe(stage, RECIPES / stage / recipe, values)
    return problem_of(stage, own.model_dump(mode="json"), of_row.encoder.model_dump(mode="json"))


RESNET = {"encoder.timm_name": "resnet10t", "encoder.init": "timm"}
CROP_48 = {"evaluate.resize": 48, "evaluate.crop": 48}
VGG = RESNET | {"encoder.timm_name": "vgg11"}
BEIT = {
    "encoder.timm_name": "beit_base_patch16_224",
    "encoder.init": "timm",
    "encoder.timm_args": {
        "img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 12, "num_heads": 4,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "recipe", "values", "row", "line"),
    [
        ("pretrain", "", {}, {}, None),
        ("pretrain", "", {}, {"views.size": 30}, "views.size: 30 is no multiple .* take 24 or 32"),
        ("pretrain", "", {}, {"encoder.timm_args": {"patch_size": [8, 4]}}, "8 x 4 pixels"),
        (
            "pretrain", "", {}, {"encoder.timm_args": {"img_size": 36}, "views.size": 36},
            "views.size: 36 is no multiple of the encoder's patch, 8; take 32 or 40",
        ),
        ("pretrain", "", {}, RESNET, None),
        ("pretrain", "", {}, RESNET | {"views.size": 36}, "views.size: 36; .* give 64 pixels"),
        ("pretrain", "", {}, RESNET | {"encoder.init": "beit"}, "encoder.init: .* plain ViT"),
        ("finetune", "demo-full.yaml", {"augment.size": 40}, {}, f"augment.size: 40; {ONLY}"),
        ("finetune", "demo-full.yaml", {"evaluate.crop": 24}, {}, f"evaluate.crop: 24; {ONLY}"),
        (
            "finetune", "demo-full.yaml", {"drop_path": 0.1}, VGG,
            "drop_path: 0.1; 'vgg11' has no stochastic depth; set it to 0",
        ),
        ("finetune", "demo-full.yaml", {"augment.rand_augment": "x9"}, {}, "rand_augment: 'x9'"),
        ("probe", "demo.yaml", CROP_48, {}, f"evaluate.crop: 48; {ONLY}"),
        ("probe", "demo.yaml", {"linear.feature": "last-4-cls"}, RESNET, "linear.feature: 'last-4"),
        (
            "segment", "demo.yaml",
            {"augment.crop": 36, "window.size": 36, "window.stride": 20}, {},
            "window.size: 36 is no multiple of the encoder's patch, 8; take 32 or 40",
        ),
        ("segment", "demo.yaml", {"decoder.blocks": [0, 1, 2, 9]}, {}, "decoder.blocks: expected"),
        ("segment", "demo.yaml", {}, BEIT, None),
        (
            "segment", "demo.yaml", {"augment.crop": 64, "window.size": 64}, BEIT,
            "window.size: other shapes of .*relative_position_bias_table",
        ),
        ("robustness", "demo.yaml", {"evaluate.crop": 24}, {}, f"evaluate.crop: 24; {ONLY}"),
    ],
)  # fmt: skip
def test_a_recipe_that_does_not_fit_an_encoder_is_found_without_training(
    stage, recipe, values, row, line
):
    found = problem(stage, recipe, values, row)

    assert found is None if line is None else re.search(line, found or "")


@pytest.mark.parametrize(
    ("stage", "recipe", "values", "line"),
    [
        ("probe", "demo.yaml", {"evaluate.crop": 48}, "crop 48 must be at most resize 32"),
        ("pretrain", "demo-folk.yaml", {"views.min_scale": 0.0}, "0 < min_scale <= max_scale"),
        ("pretrain", "demo-folk.yaml", {"views.max_scale": 0.01}, "0 < min_scale <= max_scale"),
        ("segment", "demo.yaml", {"augment.scale": [2.0, 0.5]}, "expected the smallest first"),
    ],
)
def test_values_of_one_section_that_contradict_are_found_when_it_is_read(
    stage, recipe, values, line
):
    with pytest.raises(InputError, match=rf"\.yaml:\d+: \w+: .*{line}"):
        load_recipe(stage, RECIPES / stage / recipe, values)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The tiny study with many rows, two of which have an encoder of their own."""
    rows = "\n".join(
        f"  row{number}: {{label: x, recipe: demo-folk, data: scenes, seeds: [0, 1],"
        f" set: {{optim.lr: {number + 1}.0e-4}}}}"
        for number in range(500)
    )
    other = "set: {encoder.timm_args: {patch_size: 4}}"
    rows += f"\n  odd: {{label: x, recipe: demo-folk, data: scenes, seeds: [0], {other}}}\n"
    text = TINY.read_text().replace("\nevaluations:\n", f"\n{rows}\nevaluations:\n", 1)
    text = text.replace("splits:\n", f"recipes: {RECIPES}\nsplits:\n", 1)
    text = text.replace("{optim.epochs: 4, optim.batch: 40}", "{augment.size: 40}", 1)
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return path


def checked(path, answer, monkeypatch, rows=None):
    """Check all jobs of runs with these answers; gives the questions."""
    asked = []

    def answers(questions):
        asked.extend(questions)
        return [answer(question) for question in questions]

    monkeypatch.setattr(fits, "_answers", answers)
    found = load_study(path, STAGES)
    jobs = [("pretrain", row, row) for row in found.encoders]
    jobs += [
        (evaluation.stage, name, row)
        for name, evaluation in found.evaluations.items()
        for row in found.rows_of(name)
    ]
    jobs = [job for job in jobs if rows is None or job[2] in rows]
    folder = found.recipe_folder(path)
    Fits(found, Document(path), folder, recipes_of(found, path)).check(jobs)
    return asked


def test_five_hundred_rows_of_one_encoder_are_checked_as_one(study, monkeypatch):
    asked = checked(study, lambda _: None, monkeypatch)

    arguments = {json.dumps(question["encoder"], sort_keys=True) for question in asked}
    assert len(arguments) == 2  # that of demo-folk and demo-scratch, and that of the odd row
    assert len(asked) < 20


def test_what_was_found_to_fit_is_not_asked_again(study, monkeypatch):
    assert checked(study, lambda _: None, monkeypatch, ["folk"])
    assert checked(study, lambda _: None, monkeypatch, ["folk"]) == []

    study.write_text(study.read_text().replace("augment.size: 40", "augment.size: 48"))
    assert checked(study, lambda _: None, monkeypatch, ["folk"])


def test_a_misfit_is_named_by_file_line_and_key_of_the_study_or_of_the_recipe(study, monkeypatch):
    def answer(question):
        sizes = {"finetune": "augment.size: 40; no", "probe": "evaluate.crop: 32; no"}
        return sizes.get(question["stage"])

    with pytest.raises(InputError) as refused:
        checked(study, answer, monkeypatch, ["folk"])

    lines = str(refused.value).splitlines()
    set_at = next(i for i, s in enumerate(study.read_text().splitlines(), 1) if "size: 40" in s)
    assert lines[0] == f"{study}:{set_at}: augment.size: 40; no ('full' of row 'folk')"
    (probe,) = (line for line in lines if "frozen" in line)
    place = f"{RECIPES}/probe/demo.yaml:"
    assert probe.startswith(place)
    number = int(probe.removeprefix(place).partition(":")[0])
    assert "crop: 32" in (RECIPES / "probe/demo.yaml").read_text().splitlines()[number - 1]

    with pytest.raises(InputError, match=r"tiny\.yaml:\d+: encoder\.timm_args: no \(.*row 'odd'"):
        checked(study, lambda _: "encoder.timm_args: no", monkeypatch, ["odd"])


@pytest.mark.slow
@pytest.mark.parametrize("_", [pytest.param(0, marks=[
    fault("Config", "sizes or features of a recipe that the encoder of a row does not take",
          "refused before the first job, by `folk plan` too, with file, line and key"),
])], ids=["size"])  # fmt: skip
def test_a_misfit_ends_a_study_before_its_data_are_prepared(clean_copy, _):
    old = "{optim.epochs: 4, optim.batch: 40}"
    clean_copy.edit("config/tiny.yaml", old, "{optim.epochs: 4, augment.size: 40}")
    line = f"augment.size: 40; {ONLY}"

    done = clean_copy.snakemake()
    assert done.returncode == 1
    assert line in done.stderr
    assert "config/tiny.yaml:" in done.stderr
    assert not (clean_copy.folder / "results/tiny/prepare").exists()

    planned = clean_copy.run("-m", "folk", "plan", "config/tiny.yaml")
    assert planned.returncode == 2
    assert line in planned.stderr
