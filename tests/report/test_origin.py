"""What another study made never becomes a number of this one, wherever its files are copied to."""

import json
import shutil

import pandas as pd
import pytest

from folk.evidence.study.study import load_study
from folk.stages.table import STAGES


def edit(record, **values):
    record.write_text(json.dumps(json.loads(record.read_text()) | values))


def cells(tree):
    tree.render()
    return pd.read_parquet(tree.results / "cells.parquet").set_index("id")


def test_files_copied_from_a_smoke_run_leave_a_cell_of_the_paper_empty(make_tree, tmp_path):
    tree = make_tree(scale="paper")
    before = cells(tree).loc["finetune/mfm/top1"]
    smoke = shutil.copytree(tree.results, tmp_path / "toy-smoke")
    for record in smoke.glob("**/record.json"):
        edit(record, study="toy-smoke", scale="smoke")
    for seed in (0, 1):
        place = f"finetune/mfm-s{seed}/full"
        shutil.copytree(smoke / place, tree.results / place, dirs_exist_ok=True)

    after = cells(tree)

    assert before["printed"]
    cell = after.loc["finetune/mfm/top1"]
    assert pd.isna(cell["value"])
    assert cell["printed"] == ""
    assert cell["verdict"] == "not attempted"
    assert cell["note"] == "made by a smoke run: mfm-s0/full, mfm-s1/full"
    assert "made by a smoke run" in tree.page
    assert after.loc["finetune/folk/top1", "value"] > 0.0


def test_a_copied_encoder_of_a_smoke_run_takes_its_evaluations_with_it(make_tree):
    tree = make_tree(scale="paper")
    record = tree.results / "pretrain/folk-s1/record.json"
    edit(record, study="toy-smoke", scale="smoke")

    found = cells(tree)

    assert found.loc["finetune/folk/top1", "note"] == "made by a smoke run: folk-s1/full"
    assert pd.isna(found.loc["few/folk/avg", "value"])


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"study": "other"}, "made for another study: mfm-s0/full"),
        ({"scale": "demo"}, "made for another study: mfm-s0/full"),
        ({"scale": "smoke"}, "made by a smoke run: mfm-s0/full"),
    ],
)
def test_study_and_scale_of_a_record_must_both_be_those_of_the_study(make_tree, changes, note):
    tree = make_tree(scale="paper")
    edit(tree.results / "finetune/mfm-s0/full/record.json", **changes)

    assert cells(tree).loc["finetune/mfm/top1", "note"] == note


def test_a_number_of_the_paper_needs_its_record(make_tree):
    tree = make_tree(scale="paper")
    (tree.results / "finetune/mfm-s0/full/record.json").unlink()

    assert cells(tree).loc["finetune/mfm/top1", "note"] == "without a record: mfm-s0/full"


def test_curves_and_assumptions_of_a_foreign_pre_training_are_left_out(make_tree):
    tree = make_tree(scale="paper")
    for record in tree.results.glob("pretrain/*/record.json"):
        edit(record, study="toy-smoke", scale="smoke")
    tree.render()

    assert not (tree.results / "figures/training.svg").exists()
    assert "filter.thresholds" not in tree.page.split('id="assumptions"')[1].split("</section>")[0]


def test_a_smoke_run_says_so_at_its_head_and_is_never_compared(make_tree):
    tree = make_tree(scale="smoke")
    found = cells(tree)

    assert load_study(tree.study_path, STAGES).scale == "smoke"
    assert found.loc["finetune/mfm/top1", "value"] > 0.0
    assert set(found["verdict"].dropna()) == {"not comparable (scale)"}
    assert "This is a smoke run" in tree.page.split("</header>")[0]
