"""Every stage runs at the papers' shape for two steps; nothing of it can pass for a result."""

import json
import re
import shutil
from collections import Counter

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from folk.evidence.record.schema import read_record
from tests.workflow.conftest import ROOT, copy_repository

# A minute and a half on two free cores; the limit is for machines that are busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STUDY = "config/shapes.yaml"


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    """A copy in which the smoke run of the study has been written and run; not to be changed."""
    copy = copy_repository(tmp_path_factory.mktemp("smoke"))
    shutil.copy2(ROOT / "tests/workflow/shapes.yaml", copy.folder / STUDY)
    written = copy.run("-m", "folk", "smoke", STUDY)
    assert written.returncode == 0, written.stderr
    command = written.stdout.split()
    assert command[0] == "snakemake"
    done = copy.run("-m", *command, "--cores", "2")
    logs = "".join(path.read_text() for path in copy.folder.glob("results/**/*.log"))
    assert done.returncode == 0, done.stderr + logs
    yield copy
    shutil.rmtree(copy.folder)  # encoders and classifiers of the papers' size


def records(folder):
    return [read_record(path) for path in folder.glob("[cfprs]*/**/record.json")]


def values(path):
    return yaml.safe_load(path.read_text())


def test_every_stage_has_run_and_every_record_is_marked(smoke_run):
    found = records(smoke_run.folder / "results/shapes-smoke")

    assert Counter(record["stage"] for record in found) == {
        "prepare": 3, "split": 1, "pretrain": 3, "finetune": 3, "probe": 1, "segment": 1,
        "robustness": 1, "cost": 1, "report": 1,
    }  # fmt: skip
    assert {(r["study"], r["scale"], r["smoke"]) for r in found} == {
        ("shapes-smoke", "smoke", True)
    }


def test_the_encoders_have_the_papers_shape(smoke_run):
    folder = smoke_run.folder / "results/shapes-smoke/pretrain"
    cards = {
        path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/encoder.json")
    }

    assert {run: (card["timm_name"], card["num_features"]) for run, card in cards.items()} == {
        "folk-vits-s0": ("vit_small_patch16_224", 384),
        "mfm-r50-s0": ("resnet50", 2048),
        "mfm-vitb-s0": ("vit_base_patch16_224", 768),
    }
    assert all(card["input_size"] == [3, 224, 224] for card in cards.values())


def test_heads_and_windows_have_the_papers_shape(smoke_run):
    folder = smoke_run.folder / "results/shapes-smoke"
    cost = json.loads((folder / "cost/folk-vits-s0/cost/metrics.json").read_text())
    segment = folder / "segment/folk-vits-s0/upernet"

    assert cost["step_parameters"] > cost["parameters"] + 256 * 65536
    assert values(segment / "recipe.yaml")["window"] == {"size": 512, "stride": 341}
    assert values(segment / "recipe.yaml")["augment"]["crop"] == 512
    assert pq.read_schema(segment / "predictions.parquet").metadata[b"num_classes"] == b"150"


def test_each_training_made_two_updates_with_finite_losses(smoke_run):
    folder = smoke_run.folder / "results/shapes-smoke"
    places = ("pretrain/*", "finetune/*/*", "segment/*/*")
    paths = [path for place in places for path in folder.glob(f"{place}/metrics.jsonl")]
    assert len(paths) == 7
    for path in paths:
        steps = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["step"] for line in steps if "loss" in line] == [1, 2], path


def test_nothing_of_the_growing_state_is_left(smoke_run):
    work = smoke_run.folder / "results/shapes-smoke/work"

    assert not list(work.glob("**/*.pt"))
    assert not list(work.glob("**/*.safetensors"))


def test_the_report_says_what_it_is(smoke_run):
    page = (smoke_run.folder / "results/shapes-smoke/report.html").read_text()
    cells = pd.read_parquet(smoke_run.folder / "results/shapes-smoke/cells.parquet")

    assert "This is a smoke run" in page
    assert cells["value"].notna().all()
    assert cells["published_id"].isna().all()


def test_results_copied_to_the_papers_study_reach_no_table(smoke_run):
    results = smoke_run.folder / "results"
    shutil.copytree(results / "shapes-smoke", results / "shapes", ignore=_large)

    done = smoke_run.run("-m", "folk", "report", STUDY)

    assert done.returncode == 0, done.stderr
    cells = pd.read_parquet(results / "shapes/cells.parquet")
    assert cells["value"].isna().all()
    assert all("made by a smoke run" in note for note in cells["note"])
    for table in (results / "shapes/tables").glob("*.md"):
        rows = [line for line in table.read_text().splitlines() if line.startswith("| ")]
        assert not re.search(r"\d+\.\d", " ".join(rows)), table


def test_nothing_is_made_of_an_encoder_of_a_smoke_run(smoke_run):
    done = smoke_run.run(
        "-m", "folk", "finetune", "--scale", "paper", "--seed", "0", "--name", "mfm-r50-s0",
        "--recipe", "config/recipes/finetune/rsb-a3.yaml", "--out", "results/shapes/x",
        "--encoder", "results/shapes-smoke/pretrain/mfm-r50-s0/encoder.safetensors",
        "--dataset", "results/shapes-smoke/prepare/imagenet/dataset.json",
    )  # fmt: skip

    assert done.returncode == 2
    assert "made by a smoke run; use inputs of a full run" in done.stderr


@pytest.mark.parametrize(
    ("study", "message"),
    [("demo-full", "no miniature of kind 'scenes'"),
     ("shapes-smoke", "scale is 'smoke'; name the study that it was written from")],
)  # fmt: skip
def test_a_study_without_archives_and_a_smoke_study_have_no_smoke_run(smoke_run, study, message):
    done = smoke_run.run("-m", "folk", "smoke", f"config/{study}.yaml")

    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("study", ["one-gpu", "cifar", "fashion"])
def test_a_study_below_the_papers_size_has_a_smoke_run_too(smoke_run, study):
    done = smoke_run.run("-m", "folk", "smoke", f"config/{study}.yaml")

    assert done.returncode == 0, done.stderr
    assert "5 of 5 rows" in done.stderr
    assert values(smoke_run.folder / f"config/{study}-smoke.yaml")["scale"] == "smoke"


def _large(_folder, names):
    return [name for name in names if name.endswith(".safetensors")]
