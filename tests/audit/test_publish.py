"""A published encoder has its own bytes and what the study knows of it, or is not published."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from folk.evidence.core.digest import sha256_of
from folk.evidence.results.verdicts import rule_of
from tests.audit.conftest import RESULTS, do, finetune
from tests.audit.hub import TOKEN, running_hub
from tests.faults.table import fault
from tests.toy import edit, folk, replace_in

ROOT = Path(__file__).parents[2]
OUT, RUN = Path("out"), RESULTS / "pretrain/mfm-s0"
CONFIG = {"architecture": "vit_tiny_patch16_224", "num_classes": 0}


def pretrain_again(write: Any) -> None:
    """Pre-train the run `mfm-s0` with these files, and all that reads it."""
    inputs = {"dataset": RESULTS / "prepare/scenes/dataset.json"}
    do("pretrain", "mfm-s0", inputs, write, seed=0)
    for evaluation, hits in (("full", 10), ("few", 12)):
        finetune("mfm-s0", evaluation, 0, hits)


@pytest.fixture
def sealed(toy: Any) -> None:
    """The toy study, with timm's config, sealed."""

    def write(work: Path) -> dict[str, float]:
        (work / "encoder.safetensors").write_text("weights")
        (work / "config.json").write_text(json.dumps(CONFIG))
        return {}

    pretrain_again(write)
    toy.tabulate()
    seal()


def seal() -> None:
    done = folk("seal", "config/toy.yaml")
    assert done.returncode == 0, done.stderr


def publish(*more: object, run: str = "mfm-s0") -> Any:
    return folk("publish", "config/toy.yaml", run, "--to", "hub", "--out", OUT, *more)


def row(card: str, cell: str) -> list[str]:
    (line,) = [line for line in card.splitlines() if f"`{cell}`" in line]
    return [part.strip() for part in line.strip("|").split("|")]


def test_a_folder_has_the_weights_and_a_card_of_value_interval_verdict_and_seal(sealed):
    done = publish("--license", "cc-by-4.0")

    assert done.returncode == 0, done.stderr
    assert "Nothing was uploaded" in done.stdout
    assert sha256_of(OUT / "model.safetensors") == sha256_of(RUN / "encoder.safetensors")
    assert json.loads((OUT / "config.json").read_text()) == CONFIG
    record, sealed_as = (json.loads((OUT / f"{n}.json").read_text()) for n in ("record", "seal"))
    card = (OUT / "README.md").read_text()
    interval, published = "-67.1 to 187.1", "83.1 (code: MFM)"
    word = "not comparable (scale)"
    number = ["50.0", "60.0 ± 14.1 %, n = 2", interval, published, f"{word}: {rule_of(word)}"]
    assert row(card, "main/mfm/full") == ["Main: full", "`main/mfm/full`", *number]
    assert "the best of two is not lower" in row(card, "claims/rises")
    for digest in (record["id"], sealed_as["digest"], sha256_of(RUN / "encoder.safetensors")):
        assert f"`{digest}`" in card


def test_the_head_of_the_card_is_read_by_the_library_of_the_hub(sealed):
    publish("--license", "cc-by-4.0")

    data = ModelCard.load(OUT / "README.md").data

    assert (data.license, data.library_name, data.model_name) == ("cc-by-4.0", "timm", "mfm-s0")
    found = {(r.metric_name, r.dataset_name): r.metric_value for r in data.eval_results}
    assert found["Main: full", "scenes"] == 50.0
    assert found["Main: MAX", "scenes"] == 60.0
    assert len(found) == 3  # not images per second


def test_a_study_without_a_seal_says_so(sealed):
    (RESULTS / "seal.json").unlink()

    assert publish().returncode == 0

    assert "| seal | none; the study was not sealed |" in (OUT / "README.md").read_text()
    assert not (OUT / "seal.json").exists()


@fault(
    "Numbers",
    "an encoder is published whose weights, predictions, cells or records do not hold",
    "nothing is written; one line names what differs",
)
@pytest.mark.parametrize(
    ("lie", "line"),
    [
        (lambda: (RUN / "encoder.safetensors").write_text("others"), "encoder.safetensors: other"),
        (lambda: (RUN / "encoder.safetensors").unlink(), "encoder.safetensors: missing"),
        (lambda: edit(RESULTS / "finetune/mfm-s1/full/metrics.json",
                      lambda m: m.update(top1_last=0.9)), "top1_last"),
        (lambda: edit(RUN / "record.json", lambda r: r.update(seed=7)), "it was edited"),
        (lambda: finetune("mfm-s0", "few", 0, 12), "run `report` again"),
        (lambda: replace_in(RESULTS / "seal.json", '"demo"', '"paper"'), "digests do not match"),
        (lambda: OUT.joinpath("a").mkdir(parents=True), "out: exists already"),
    ],
    ids=["weights", "no weights", "metrics", "record", "old table", "seal", "folder"],
)  # fmt: skip
def test_what_does_not_hold_is_not_published(sealed, lie, line):
    lie()

    done = publish()

    assert done.returncode == 2
    assert line in done.stderr
    assert not (OUT / "README.md").exists()


def test_a_run_that_was_made_again_is_published_after_another_seal(sealed, toy):
    finetune("mfm-s0", "few", 0, 12)
    toy.tabulate()

    assert "lacks records of this run; seal the study again" in publish().stderr
    seal()
    assert publish().returncode == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"run": "mfm-s9"}, "toy: unknown run 'mfm-s9'; did you mean 'mfm-s"),
        ({"run": "late-s0"}, "pretrain/late-s0/record.json: missing"),
        ({"run": "mfm-s1"}, "lists no config.json"),
    ],
)
def test_what_cannot_be_published_is_one_line(sealed, arguments, line):
    assert line in publish(**arguments).stderr


def on_the_hub(url: str, code: list[str], token: str = TOKEN) -> Any:
    """A process of its own, since the client reads the address of the hub once."""
    variables = {"HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HOME": str(Path("home").resolve())}
    variables |= {"HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, *code], env=os.environ | variables, capture_output=True, text=True
    )


UPLOAD = ["-m", "folk", "publish", "config/toy.yaml", "mfm-s0", "--to", "hub", "--out", str(OUT)]


@pytest.mark.slow
def test_what_is_uploaded_is_what_timm_opens_from_the_hub(toy):
    from tests.toy import store_encoder

    small = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}

    def write(work: Path) -> dict[str, float]:
        store_encoder(work, "vit_tiny_patch16_224", small)
        return {}

    pretrain_again(write)
    toy.tabulate()
    code = """
import timm
from folk.models.encoder import load_encoder
theirs = timm.create_model("hf-hub:me/toy", pretrained=True).state_dict()
ours = load_encoder(__import__("pathlib").Path("results/toy/pretrain/mfm-s0"))[0].state_dict()
assert theirs.keys() == ours.keys() and all((theirs[k] == ours[k]).all() for k in ours)
"""
    with running_hub() as hub:
        done = on_the_hub(hub.url, [*UPLOAD, "--upload", "me/toy"])
        assert done.returncode == 0, done.stderr
        opened = on_the_hub(hub.url, ["-c", code])
        assert opened.returncode == 0, opened.stderr

    assert hub.repos == {"me/toy": True}
    assert hub.files["me/toy"] == {path.name: path.read_bytes() for path in OUT.iterdir()}
    assert 'create_model("hf-hub:me/toy"' in hub.files["me/toy"]["README.md"].decode()
    record = json.loads((OUT / "record.json").read_text())
    assert hub.messages == [f"toy/mfm-s0, record {record['id'][:12]}"]
    assert f"/me/toy/commit/{'c' * 40}" in done.stdout


@fault("Services", "a model hub that does not accept an upload",
       "one line; the folder is whole and can be uploaded later")  # fmt: skip
@pytest.mark.slow
def test_an_upload_that_is_not_accepted_leaves_the_folder(sealed):
    with running_hub() as hub:
        done = on_the_hub(hub.url, [*UPLOAD, "--upload", "me/toy"], token="other")

    assert done.returncode == 2
    assert "me/toy was not uploaded: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "other" not in done.stderr
    assert (OUT / "model.safetensors").is_file()
