"""The claim of a cell has its schema, the digest of its chain and what the seal says of it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from folk.cli.app import app
from folk.evidence.audit.cell_claim import cell_claim, holds
from folk.evidence.audit.seal import write_seal
from folk.evidence.core.canonical import sha256_of_json
from folk.evidence.record.schema import record_id
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.audit.conftest import RESULTS, finetune

FULL, SEAL = "main/mfm/full", RESULTS / "seal.json"


def seal():
    return write_seal(load_study(Path("config/toy.yaml"), STAGES), Path("config/toy.yaml"), RESULTS)


def test_a_claim_is_the_explanation_with_schema_chain_and_seal(toy):
    sealed = seal()

    claim = json.loads(json.dumps(cell_claim(toy.explainer(), FULL), allow_nan=False))

    assert claim["schema"] == {"name": "folk-cell", "version": 3}
    assert {key: claim[key] for key in ("cell", "holds", "format")} == {
        "cell": FULL, "holds": True, "format": 2,
    }  # fmt: skip
    assert claim["seal"] == {
        "path": "results/toy/seal.json", "digest": sealed.digest, "chain": sealed.chain,
        "holds": True, "has_chain": True,
    }  # fmt: skip
    records = {job["record"]: job["id"] for job in claim["chain"]}
    failed = {each["record"]: each["id"] for each in claim["failures"]}
    assert (len(records), len(failed)) == (5, 1)
    assert claim["chain_digest"] == sha256_of_json({"records": records, "failed": failed})
    assert holds(claim)
    left_out = {key: value for key, value in claim.items() if key not in
                ("schema", "chain_digest", "seal")}  # fmt: skip
    assert left_out == json.loads(json.dumps(toy.explain(FULL).as_json()))


def test_a_study_without_a_seal_has_none_and_a_chain_all_the_same(toy):
    claim = cell_claim(toy.explainer(), FULL)

    assert claim["seal"] is None
    assert len(claim["chain_digest"]) == 64
    assert holds(claim)


def test_a_job_that_was_done_again_moves_the_chain_and_is_not_in_the_seal(toy):
    seal()
    before = cell_claim(toy.explainer(), FULL)
    finetune("mfm-s0", "full", 0, 10)
    toy.tabulate()

    claim = cell_claim(toy.explainer(), FULL)

    assert claim["holds"], claim["contradicted"]
    assert claim["chain_digest"] != before["chain_digest"]
    assert claim["seal"]["digest"] == before["seal"]["digest"]
    assert not claim["seal"]["has_chain"]
    assert not holds(claim)


def test_a_lost_record_of_a_failure_is_not_in_the_chain_any_more(toy):
    before = cell_claim(toy.explainer(), FULL)["chain_digest"]
    (failed,) = RESULTS.glob("failed/**/record-*.failed.json")
    record = json.loads(failed.read_text())
    record["error"]["message"] = "nothing"
    record["id"] = record_id(record)
    failed.write_text(json.dumps(record))

    assert cell_claim(toy.explainer(), FULL)["chain_digest"] != before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "give one of --crate FOLDER, --deposit FOLDER, "),
        (["--json", FULL, "--crate", "out"], "give one of --crate FOLDER, --deposit FOLDER, "),
        (["--json", "main/mfm/ful"], "did you mean 'main/mfm/full'"),
        (["--json", "claims/rises"], "unknown cell 'claims/rises'"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(toy, monkeypatch, arguments, line):
    monkeypatch.setattr("folk.cli.recipes_today.recipes_today", lambda *_: {})

    done = CliRunner().invoke(app, ["export", "config/toy.yaml", *arguments])

    assert line in str(done.exception)
    assert not Path("out").exists()
