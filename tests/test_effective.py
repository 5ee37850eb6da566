"""Files of a study merge as Snakemake merges them, and what they gave is kept with its results."""

import copy
import os
from pathlib import Path

import pytest
from snakemake.utils import update_config

from folk.cli.read import effective_study
from folk.cli.workflow import get_config, get_default
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document
from folk.evidence.study.effective import difference, effective_path, write_effective
from folk.evidence.study.study import checked_study
from folk.stages.table import STAGES

DEMO, FULL = Path("config/demo.yaml"), Path("config/demo-full.yaml")
PATCH = """\
title: {not: a title}
encoders: {folk: {seeds: [7], set: {optim.epochs: 2}}, new: {label: x}}
claims: null
"""


def test_files_merge_as_snakemake_merges_them(tmp_path):
    (tmp_path / "patch.yaml").write_text(PATCH)
    files = [DEMO, FULL, tmp_path / "patch.yaml"]
    expected: dict = {}
    for file in files:
        update_config(expected, copy.deepcopy(Document(file).values))

    assert get_config(files, []).values == expected


def test_values_of_the_command_line_are_yaml_and_lie_on_top():
    config = get_config([DEMO], ["title=Mine", "encoders={folk: {set: {optim.lr: 2e-4}}}"])

    study = checked_study(config, STAGES)

    assert study.title == "Mine"
    assert study.encoders["folk"].overrides["optim.lr"] == 2e-4
    assert study.encoders["folk"].label == "FOLK"
    with pytest.raises(InputError, match=r"--config title: '\{' is not a YAML value"):
        get_config([DEMO], ["title={"])


def test_a_name_on_the_command_line_that_another_file_has_is_refused():
    with pytest.raises(InputError, match=r"duplicate name 'paper', also in config/paper\.yaml"):
        checked_study(get_config([DEMO], ["study=paper"]), STAGES)


def test_a_file_without_a_study_lies_over_the_demo(tmp_path):
    (tmp_path / "patch.yaml").write_text("title: Mine\n")

    assert get_default([]) == get_default([tmp_path / "patch.yaml"]) == "config/demo.yaml"
    assert get_default([FULL, tmp_path / "patch.yaml"]) is None


def test_a_study_that_has_not_changed_is_not_written_again(tmp_path):
    path, values = tmp_path / "study.yaml", Document(DEMO).values
    write_effective(values, path)
    os.utime(path, (1, 1))

    write_effective(values, path)
    assert path.stat().st_mtime == 1
    write_effective(values | {"title": "Mine"}, path)
    assert Document(path).values == values | {"title": "Mine"}


def test_a_difference_is_told_by_its_keys_and_the_folder_of_recipes_is_none(tmp_path):
    values = Document(DEMO).values
    write_effective(values | {"recipes": "config/recipes"}, tmp_path / "same/study.yaml")
    write_effective(values | {"title": "Mine", "recipes": "other"}, tmp_path / "other/study.yaml")

    assert difference(DEMO, tmp_path / "same/study.yaml", STAGES) == ""
    assert difference(DEMO, tmp_path / "other/study.yaml", STAGES) == "recipes, title"


def test_results_are_read_with_the_study_that_made_them(tmp_path, capsys):
    path = effective_path(tmp_path / "demo")
    assert effective_study(DEMO, tmp_path)[1] == DEMO

    write_effective(Document(DEMO).values | {"title": "Mine", "recipes": "config/recipes"}, path)
    study, file = effective_study(DEMO, tmp_path)

    assert (study.title, file) == ("Mine", path)
    said = "config/demo.yaml: not the study that ran, differs in title;"
    assert capsys.readouterr().err.startswith(said)
    assert effective_study(path, tmp_path) == (study, path)
    assert capsys.readouterr().err == ""
