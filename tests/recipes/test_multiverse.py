"""Studies of many readings: the design, the rows and claims, and what is no reading."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document
from folk.evidence.study.study import load_study
from folk.stages.recipes.multiverse import load_readings, screening_design
from folk.stages.table import STAGES, load_recipe
from tests.toy import folk

SHIPPED = Path("config/fashion-multiverse.yaml")
READINGS = Path("config/published/readings.yaml")
STUDY = """
study: mine
title: Mine
scale: demo
data: {clothes: {recipe: fashion-mnist-small}}
encoders:
  mfm-com: {label: Com, recipe: fashion-mfm-com, data: clothes, seeds: [0]}
  folk: {label: FOLK, recipe: fashion-folk, data: clothes, seeds: [0], set: {optim.epochs: 2}}
evaluations: {frozen: {stage: probe, recipe: fashion, data: clothes}}
tables:
  main:
    title: Main
    rows: [mfm-com, folk]
    columns: {knn: {label: 20-NN, evaluation: frozen, metric: knn_top1_k20}}
"""


@pytest.mark.parametrize("factors", range(1, 24))
def test_each_reading_is_in_half_of_the_runs_alone_and_in_a_quarter_with_each_other(factors):
    design = screening_design(factors)
    runs = len(design)

    assert factors < runs <= factors + 8
    assert not design[0].any()
    assert (design.sum(axis=0) == runs / 2).all()
    both = design.T.astype(int) @ design.astype(int)
    assert (both[~np.eye(factors, dtype=bool)] == runs / 4).all()


def test_each_reading_is_assumed_otherwise_by_the_recipe_of_the_paper():
    recipe = load_recipe("pretrain", Path("config/recipes/pretrain/folk-vit-base.yaml"))
    known = {**recipe.assume, **recipe.source}

    for name, reading in load_readings(READINGS).items():
        for key in reading.values:
            assert any(key == each or key.startswith(f"{each}.") for each in known), (name, key)


def test_the_shipped_study_is_what_its_command_writes(tmp_path, monkeypatch):
    words = SHIPPED.read_text().splitlines()[0].split("`")[1].split()[3:]
    expected = SHIPPED.read_bytes()
    (tmp_path / "config").mkdir()
    shutil.copy("config/fashion.yaml", tmp_path / "config")
    monkeypatch.chdir(tmp_path)

    assert folk(*words).returncode == 0
    assert SHIPPED.read_bytes() == expected


def test_each_recipe_of_the_shipped_study_is_valid():
    study = load_study(SHIPPED, STAGES)
    assert len(study.encoders) == 24
    assert list(study.claims)[:2] == ["all-readings", "reading-1"]
    assert study.encoders["folk-1"].overrides == {"optim.epochs": 3}
    for row in study.encoders.values():
        recipe = load_recipe(
            "pretrain", Path(f"config/recipes/pretrain/{row.recipe}.yaml"), row.overrides
        )
        assert (recipe.method.distillation is None) == (row.recipe == "fashion-mfm-com")


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)

    def write(*options):
        return folk("multiverse", path, "--cell", "main/knn", *options)

    return write


def written(tmp_path):
    return Document(tmp_path / "mine-multiverse.yaml").values


def test_rows_that_have_no_distillation_are_trained_once_for_readings_of_it(mine, tmp_path):
    assert mine("--vary", "mean-loss,plain-head,dc-kept").returncode == 0
    values = written(tmp_path)

    assert list(values["encoders"]) == [
        "mfm-com-1", "mfm-com-2", "folk-1", "folk-2", "folk-3", "folk-4",
    ]  # fmt: skip
    assert values["encoders"]["folk-1"]["set"] == {"optim.epochs": 2}
    assert values["encoders"]["mfm-com-2"]["set"] == {"method.filter.dc": "always_keep"}
    used = [values["claims"][f"reading-{n}"]["difference"]["over"] for n in (1, 2, 3, 4)]
    assert [used.count(f"readings/mfm-com-{n}/knn") for n in (1, 2)] == [2, 2]
    effect = values["claims"]["effect-dc-kept"]["difference"]
    assert len(effect["of"]) == len(effect["over"]) == 2
    for cell in effect["of"]:
        row = values["encoders"][cell.split("/")[1]]
        assert row["set"]["method.filter.dc"] == "always_keep"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vary", "mean-los"), "unknown reading 'mean-los'; did you mean 'mean-loss'?"),
        (("--rows", "mfm-com,fork"), "unknown row 'fork'; did you mean 'folk'?"),
        (("--rows", "a,b,c"), "--rows a,b,c: expected one row or two"),
        (("--cell", "main/k"), "unknown column 'k'"),
        (("--vary", "mean-loss", "--set", "optim.epoch=1"), "optim.epoch"),
    ],
)
def test_what_cannot_be_varied_is_named_and_nothing_is_written(options, message, mine, tmp_path):
    done = mine(*options)

    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "mine-multiverse.yaml").exists()


def test_a_row_that_is_already_so_is_no_other_reading(mine, tmp_path):
    readings = tmp_path / "readings.yaml"
    readings.write_text("readings: {so: {says: so, set: {method.distillation.reduce: sum}}}\n")

    done = mine("--readings", str(readings))

    assert done.returncode == 2
    assert "so: row 'folk' is already so; leave this reading out" in done.stderr


def test_a_damaged_file_of_readings_is_named_by_line(tmp_path):
    path = tmp_path / "readings.yaml"
    path.write_text("readings:\n  so: {say: so, set: {a: 1}}\n")

    with pytest.raises(InputError, match=r"readings\.yaml:2: readings\.so\.say: unknown key"):
        load_readings(path)
