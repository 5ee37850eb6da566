"""A small study of hand-made records, and the file that names it."""

from pathlib import Path

import pytest

from folk.evidence.record.record import open_record

RESULTS = Path("results/demo")
STUDY = """\
study: demo
title: A study of hand-made records
scale: demo
data: {scenes: {recipe: demo}}
encoders: {folk: {label: FOLK, recipe: demo-folk, data: scenes, seeds: [0]}}
"""


def do(stage, run, inputs, output, text, evaluation=None, error=None):
    """Do a job that writes one file and leaves its record, or fails; returns the file."""
    place = Path(stage, run, evaluation or "")
    out, work = RESULTS / place, RESULTS / "work" / place
    with open_record(
        work, study="demo", stage=stage, run=run, evaluation=evaluation, argv=[stage],
        recipe={"a": 1}, recipe_digest="d", seed=0, inputs=inputs, code="c" * 64, scale="demo",
    ) as record:  # fmt: skip
        if error is not None:
            raise error
        (work / output).write_text(text)
        record.finish({"it": out / output}, {}, out / "record.json", {work / output: out / output})
    return out / output


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A data set, an encoder whose first try failed, an evaluation, and small results."""
    monkeypatch.chdir(tmp_path)
    Path("config/published").mkdir(parents=True)
    Path("config/demo.yaml").write_text(STUDY)
    Path("config/published/numbers.csv").write_text("id\n")
    Path("config/published/papers.yaml").write_text("papers: {}\n")
    Path("requirements.lock").write_text("numpy==2\n")
    data = do("prepare", "scenes", {}, "dataset.json", "{}")
    with pytest.raises(RuntimeError):
        do("pretrain", "folk-s0", {"dataset": data}, "", "", error=RuntimeError("lost"))
    encoder = do("pretrain", "folk-s0", {"dataset": data}, "encoder.safetensors", "weights")
    inputs = {"encoder": encoder, "dataset": data}
    do("finetune", "folk-s0", inputs, "predictions.parquet", "right", "full")
    (RESULTS / "tables").mkdir()
    (RESULTS / "tables/main.md").write_text("| 12.5 |\n")
    (RESULTS / "cells.parquet").write_text("cells")
    return tmp_path
