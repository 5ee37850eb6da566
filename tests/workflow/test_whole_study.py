"""One call makes everything; what changes is made again, and nothing else."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch

from folk.evidence.record.fingerprint import code_fingerprint
from folk.evidence.record.schema import read_record
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.workflow.conftest import Copy, counts

REPORTS = {"report": 1, "track": 1}
ONE_ROW = REPORTS | {
    "pretrain": 1, "finetune": 2, "probe": 1, "segment": 1, "robustness": 1, "cost": 1,
}  # fmt: skip


def results(copy) -> Path:
    return copy.folder / "results/tiny"


@pytest.mark.slow
def test_a_bare_dry_run_plans_the_whole_demo(clean_copy):
    done = clean_copy.run("-m", "snakemake", "-n", "--cores", "2")

    assert done.returncode == 0, done.stderr
    assert re.search(r"pretrain\s+12\b", done.stdout)


def test_every_stage_leaves_its_files(finished_study):
    folder = results(finished_study)

    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    for form in ("md", "tex", "csv"):
        assert (folder / f"tables/main.{form}").stat().st_size > 0
    records = sorted(folder.glob("[cfprs]*/**/record.json"))
    assert Counter(read_record(path)["stage"] for path in records) == {
        "prepare": 1, "split": 1, "pretrain": 2, "finetune": 4, "probe": 2, "segment": 2,
        "robustness": 2, "cost": 1, "report": 1,
    }  # fmt: skip
    assert not list(folder.glob("work/**/checkpoint.pt"))
    assert json.loads((folder / "tracked.json").read_text())["created"] == len(records) - 1
    assert read_record(folder / "track/record.json")["outputs"][0]["path"].endswith("tracked.json")


def test_a_finished_study_has_nothing_to_do(finished_study):
    assert finished_study.planned() == Counter()


def test_every_number_of_every_table_is_a_cell(finished_study):
    folder = results(finished_study)
    cells = pd.read_parquet(folder / "cells.parquet")
    cells = cells[cells["table"] == "main"]
    texts = [*cells["printed"], *cells["published_printed"].dropna()]
    printed = {number for text in texts for number in re.findall(r"\d+\.\d+", text)}

    markdown = (folder / "tables/main.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("| ")][2:]
    shown = [number for row in rows for number in re.findall(r"\d+\.\d+", row)]
    assert len(shown) == len(cells) == 17  # one of them quoted
    assert set(shown) <= printed


def test_claims_and_assumptions_stand_beside_the_cells(finished_study):
    folder = results(finished_study)
    (claim,) = pd.read_parquet(folder / "claims.parquet").to_dict("records")

    assert (claim["id"], claim["verdict"]) == ("rises", "undecided here")
    assert "undecided here |" in (folder / "claims.md").read_text()
    text = (folder / "assumptions.md").read_text()
    assumed = "| method.filter.pairing | one\\_of\\_each | tuned on the validation scenes"
    assert f"{assumed} | independent | demo-folk | folk | main, cost |" in text


def test_the_encoder_loads_into_a_plain_timm_model_as_the_readme_shows(finished_study):
    shown = re.search(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL).group(1)
    names: dict = {}
    exec(shown.replace("results/demo", str(results(finished_study))), names)
    card = json.loads((results(finished_study) / "pretrain/folk-s0/encoder.json").read_text())

    features = names["encoder"](torch.zeros(1, *card["input_size"]))

    assert features.shape == (1, card["num_features"])


def test_a_classifier_is_measured_as_its_fine_tuning_left_it(finished_study):
    folder = results(finished_study)
    tuned = json.loads((folder / "finetune/folk-s0/full/metrics.json").read_text())
    robust = json.loads((folder / "robustness/folk-s0/robust/metrics.json").read_text())
    record = read_record(folder / "robustness/folk-s0/robust/record.json")

    assert robust["top1_clean"] == tuned["top1_last"]
    assert read_record(folder / "finetune/folk-s0/full/record.json")["id"] in record["parents"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "planned"),
    [
        ([("config/tiny.yaml", "says: FOLK is better", "says: FOLK is worse")], {"report": 1}),
        ([("config/tiny.yaml", "optim.epochs: 4, optim.batch", "optim.epochs: 5, optim.batch")],
         {"finetune": 2, "robustness": 2, **REPORTS}),
        ([("config/recipes/finetune/demo-full.yaml", "about:", "# A new remark.\nabout:"),
          ("config/tiny.yaml", "# The whole graph", "# The entire graph"),
          ("folk/stages/tasks/finetune.py", '"""Full fine-tuning of', '"""Fine-tuning of'),
          ("folk/stages/tasks/probe.py", "    linear = ", "    # why\n    linear = ")], {}),
        ([("config/recipes/segment/demo.yaml", "power: 1.0", "power: 0.9")],
         {"segment": 2, **REPORTS}),
        ([("config/tiny.yaml", "optim.warmup_epochs: 0.5", "optim.warmup_epochs: 0.25")], ONE_ROW),
        ([("config/tiny.yaml", "seeds: [0]\n    set", "seeds: [1]\n    set")], ONE_ROW),
        # Tables do not use it, but probes are made anew and the tables read them.
        ([("folk/evidence/results/metrics/knn.py", "-3.0 / temperature", "-4.0 / temperature")],
         {"probe": 2, **REPORTS}),
    ],
    ids=["claim", "rate", "remarks", "recipe", "value of one row", "seed", "code"],
)  # fmt: skip
def test_a_change_reruns_what_depends_on_it_and_nothing_else(finished_copy, changes, planned):
    for change in changes:
        finished_copy.edit(*change)

    assert finished_copy.planned() == Counter(planned)


@pytest.mark.slow
def test_edited_code_is_reported_where_the_study_says_so(finished_copy):
    finished_copy.edit("folk/methods/losses.py", "+ 1e-12", "+ 1e-11")

    done = finished_copy.snakemake("-n")

    assert "Nothing to be done" in done.stdout + done.stderr
    assert re.search(r"results/tiny/pretrain/folk-s0: stale: made by code", done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("config/tiny.yaml", "recipe: demo-folk", "recipe: demo-flok", "did you mean 'demo-folk'"),
        ("config/tiny.yaml", "optim.updates: 3", "optim.update: 3", "did you mean 'updates'"),
        ("config/recipes/segment/demo.yaml", "power: 1.0", "power: high", "valid number"),
        ("config/tiny.yaml", "main/folk/full]", "main/folk/ful]", "did you mean 'main/folk/full'"),
        ("config/tiny.yaml", "dino-knn-vits", "dino-knn-vit", "did you mean 'dino-knn-vits'"),
        ("config/tiny.yaml", "dino-knn-vits", "dino-linear-vits", "measures linear_top1, cell"),
    ],
)
def test_a_bad_study_is_refused_before_anything_runs(clean_copy, path, old, new, message):
    clean_copy.edit(path, old, new)

    done = clean_copy.snakemake()

    assert done.returncode != 0
    assert re.search(message, done.stdout + done.stderr), done.stderr
    assert not (clean_copy.folder / "results").exists()


@pytest.mark.slow
def test_a_value_on_the_command_line_reruns_what_depends_on_it(finished_copy):
    value = "encoders={folk: {set: {optim.warmup_epochs: 25e-2}}}"
    done = finished_copy.snakemake("-n", "--config", value)

    assert counts(done) == Counter(ONE_ROW)
    assert (
        "--set optim.warmup_epochs=0.25" in finished_copy.snakemake("-np", "--config", value).stdout
    )
    kept = (results(finished_copy) / "study.yaml").read_text()
    assert "optim.warmup_epochs: 0.5" in kept  # a dry run writes nothing


@pytest.mark.slow
def test_a_value_on_the_command_line_reaches_results_and_records(finished_copy):
    options = ("--config", "title=Mine", "splits={few: {set: {per_class: 3}}}")
    done = finished_copy.snakemake("--until", "split", *options)
    assert done.returncode == 0, done.stderr

    record = read_record(results(finished_copy) / "split/few/record.json")
    study = load_study(results(finished_copy) / "study.yaml", STAGES)

    assert record["recipe"]["per_class"] == 3
    assert (study.title, study.splits["few"].overrides) == ("Mine", {"per_class": 3})
    assert study.recipes == "config/recipes"
    # What was kept is a study file itself, and asks for the same.
    kept = ("-m", "snakemake", "-n", "--cores", "2", "--configfile", "results/tiny/study.yaml")
    assert counts(finished_copy.run(*kept)) == counts(finished_copy.snakemake("-n", *options))


@pytest.mark.slow
def test_config_files_are_merged_and_one_without_a_study_lies_over_the_demo(clean_copy):
    patch = clean_copy.folder / "patch.yaml"
    patch.write_text("encoders: {folk: {seeds: [0, 1, 2, 3]}}\n")
    call = ("-m", "snakemake", "-n", "--cores", "2", "--configfile")

    assert counts(clean_copy.run(*call, "config/tiny.yaml", "patch.yaml"))["pretrain"] == 5
    assert counts(clean_copy.run(*call, "patch.yaml"))["pretrain"] == 13  # 12 in the demo


def test_a_wrong_value_is_named_where_it_was_given(clean_copy):
    (clean_copy.folder / "patch.yaml").write_text("# More.\nencoders: {folk: {seed: [1]}}\n")
    files = ("--configfile", "config/tiny.yaml", "patch.yaml")
    call = ("-m", "snakemake", "-n", "--cores", "2", *files, "--config", "scale=huge")

    said = clean_copy.run(*call).stdout

    assert "patch.yaml:2: encoders.folk.seed: unknown key; did you mean 'seeds'" in said
    assert "--config: scale: Input should be 'demo', 'smoke' or 'paper'" in said


@pytest.mark.slow
@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_an_empty_folder_elsewhere_gets_the_demo_of_the_workflow(clean_copy, snakefile, tmp_path):
    (tmp_path / "empty").mkdir()
    where = ("-s", str(clean_copy.folder / snakefile), "--directory", str(tmp_path / "empty"))

    assert counts(clean_copy.run("-m", "snakemake", "-n", *where))["pretrain"] == 12


@pytest.mark.slow
def test_a_job_in_a_folder_elsewhere_runs_the_code_of_the_workflow(clean_copy, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy2(clean_copy.folder / "config/tiny.yaml", there)
    where = ("-s", str(clean_copy.folder / "Snakefile"), "--directory", str(there))
    study = ("--configfile", str(there / "tiny.yaml"))

    done = clean_copy.run("-m", "snakemake", *where, *study, "--until", "split")

    assert done.returncode == 0, done.stderr
    record = read_record(there / "results/tiny/split/few/record.json")
    root = clean_copy.folder
    assert record["code"]["fingerprint"] == code_fingerprint("folk.stages.split", root)


@pytest.mark.slow
def test_another_workflow_uses_this_one_as_a_module(clean_copy, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy2(clean_copy.folder / "config/tiny.yaml", there)
    (there / "Snakefile").write_text(
        f"""configfile: "tiny.yaml"
module folk:
    snakefile: "{clean_copy.folder}/workflow/Snakefile"
    config: config
use rule * from folk as folk_*
onstart:
    folk.onstart()
"""
    )

    done = Copy(there).run("-m", "snakemake", "-n", "--cores", "2", "--config", "title=Mine")

    assert counts(done)["folk_pretrain"] == 2
    assert "Rendering the tables of tiny" in done.stdout


@pytest.mark.slow
def test_a_bare_call_finds_its_profile(clean_copy):
    done = clean_copy.run("-m", "snakemake", "-n", "--quiet", "reason")

    assert done.returncode == 0, done.stderr
    assert "profile profiles/default" in done.stderr
