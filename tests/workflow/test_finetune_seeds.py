"""A run is fine-tuned once for each seed, and each fine-tuning has a classifier of its own."""

import json
from collections import Counter

import pandas as pd
import pytest

from folk.evidence.record.schema import read_record

pytestmark = pytest.mark.slow

STUDY = """
study: nested
title: Fine-tuned twice
scale: demo
data:
  scenes:
    recipe: demo
    set: {scenes.num_train: 40, scenes.num_val: 40, scenes.num_unlabeled: 8}
encoders:
  scratch: {label: from scratch, recipe: demo-scratch, data: scenes, seeds: [0, 1]}
evaluations:
  full:
    stage: finetune
    recipe: demo-full
    data: scenes
    seeds: [0, 1]
    set: {optim.epochs: 2, optim.batch: 20, optim.warmup_epochs: 1.0}
  robust:
    stage: robustness
    recipe: demo
    data: scenes
    classifier: full
    set: {in_memory: [contrast]}
tables:
  main:
    title: Main
    rows: [scratch]
    columns:
      full: {label: full, evaluation: full, metric: top1_last}
      contrast: {label: error, evaluation: robust, metric: error_in-memory}
"""


@pytest.fixture
def nested_copy(clean_copy):
    (clean_copy.folder / "config/nested.yaml").write_text(STUDY)
    return clean_copy


def snakemake(copy, *arguments):
    done = copy.snakemake(*arguments, study="config/nested.yaml")
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout + done.stderr


def test_a_dry_run_plans_each_fine_tuning_and_the_robustness_of_each(nested_copy):
    said = snakemake(nested_copy, "-n", "-p")

    for seed in (0, 1):
        for again in (0, 1):
            tuned = f"results/nested/finetune/scratch-s{seed}/full-f{again}"
            seeds = f"--seed {seed} --finetune-seed {again}"
            assert f"--name scratch-s{seed} {seeds} --evaluation full-f{again} " in said
            assert f"--name scratch-s{seed} {seeds} --evaluation robust-f{again} " in said
            assert f"--classifier {tuned}/classifier.safetensors" in said
    assert "--evaluation full " not in said


def test_fine_tunings_of_one_run_differ_and_are_counted_once_with_their_mean(nested_copy):
    snakemake(nested_copy)

    folder = nested_copy.folder / "results/nested"
    records = [read_record(path) for path in sorted(folder.glob("[fpr]*/**/record.json"))]
    counts = Counter((record["stage"], record.get("finetune_seed")) for record in records)
    assert counts == {
        ("prepare", None): 1, ("pretrain", None): 2, ("finetune", 0): 2, ("finetune", 1): 2,
        ("robustness", 0): 2, ("robustness", 1): 2, ("report", None): 1,
    }  # fmt: skip
    classifiers = {path.read_bytes() for path in folder.glob("finetune/*/*/classifier.safetensors")}
    assert len(classifiers) == 4
    cells = pd.read_parquet(folder / "cells.parquet").set_index("id")
    stated = [
        [100 * json.loads((folder / f"finetune/scratch-s{seed}/full-f{again}/metrics.json")
                          .read_text())["top1_last"] for again in (0, 1)]
        for seed in (0, 1)
    ]  # fmt: skip
    full = cells.loc["main/scratch/full"]
    assert list(full["seed_values"]) == pytest.approx(sum(stated, []))  # noqa: RUF017
    assert (full["n"], list(full["finetune_seeds"])) == (2, [0, 1, 0, 1])
    assert cells.loc["main/scratch/contrast"]["n"] == 2

    verified = nested_copy.run("-m", "folk", "verify", "config/nested.yaml")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "Nothing to be done" in snakemake(nested_copy, "-n")
