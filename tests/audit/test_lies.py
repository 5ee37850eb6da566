"""Lies planted in a finished study: what `explain` contradicts, `verify` does not pass."""

import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from folk.cli.verify import _show
from folk.evidence.audit import seal as seals
from folk.evidence.audit.chain import Chain
from folk.evidence.audit.checks.dvc import CACHE, _listing
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.findings import Checked, Finding, Verification
from folk.evidence.audit.signature import sign
from folk.evidence.audit.stale import shown_values
from folk.evidence.audit.today import RecipeToday, Today
from folk.evidence.core.digest import digest_file, sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import READERS, record_paths
from folk.evidence.record.schema import record_id
from folk.evidence.results.cells import read_cells
from folk.evidence.results.claims import judge_claims, read_claims, write_claims
from folk.evidence.results.published import load_published
from folk.evidence.study.study import Claim, Study, load_study
from folk.stages.table import STAGES
from tests.audit.conftest import CELLS, CLAIMS, PUBLISHED, RESULTS, TOLD, finetune
from tests.audit.many_runs import ENCODER as OF_ENCODER
from tests.audit.many_runs import STUDY_PATH, audit, report
from tests.faults.table import fault
from tests.toy import digest_of, edit, git

ENCODER = RESULTS / "pretrain/r0-s0/encoder.safetensors"
MEASURED = RESULTS / "finetune/r0-s0/full/record.json"
CELL = "main/r0/full"
LINE = '{"step": 1, "epoch": 0.5, "time": 1.5, "loss": 0.7}\n'


def wrong() -> dict[tuple[str, str], set[str]]:
    return {(f.word, f.place.removeprefix("results/toy/")): set(f.cells) for f in audit().findings
            if f.wrong}  # fmt: skip


def by_recipe_of_today(record: Any) -> None:
    record["recipe"] |= OF_ENCODER
    record["recipe_digest"] = digest_of(record["recipe"])


def contradicted() -> list[str]:
    """All that `explain` contradicts, of every cell."""
    study = load_study(STUDY_PATH, STAGES)
    recipes = {
        (stage, name): RecipeToday("a.yaml", TOLD, TOLD, None, None, {})
        for stage, name, _ in study.entries()
    }
    cells = read_cells(CELLS)
    explainer = Explainer(
        Chain(RESULTS), study, cells, load_published(PUBLISHED), Today(recipes), "all"
    )
    return [line for cell in cells for line in explainer.explain(cell.id).contradicted]


def forge(path: Path, change: Callable[[Any], object]) -> None:
    """Change a record as a forger does who gives new ids to it and to all that rest on it."""
    edit(path, change)
    ids: dict[str, str] = {}
    for stage in ("prepare", "pretrain", "finetune"):
        for place in record_paths(RESULTS):
            if place.parts[2] == stage:
                edit(place, lambda record: _renamed(record, ids))


def _renamed(record: dict[str, Any], ids: dict[str, str]) -> None:
    for entry in record["inputs"]:
        entry["record"] = ids.get(entry["record"], entry["record"])
    record["parents"] = sorted({e["record"] for e in record["inputs"] if e["record"]})
    old = record["id"]
    record["id"] = ids[old] = record_id(record)


def report_anew() -> None:
    """Report and seal as if the study had never been sealed."""
    for stage in READERS:
        shutil.rmtree(RESULTS / stage)
    (RESULTS / "seal.json").unlink()
    report()


def report_as_it_is(path: Path = CELLS) -> None:
    """Give the report's record the bytes that a file of it has now, and no seal."""
    found = digest_file(path)

    def change(record: dict[str, Any]) -> None:
        (entry,) = [e for e in record["outputs"] if e["path"] == path.as_posix()]
        entry |= {"size": found.size, "sha256": found.sha256, "md5": found.md5}

    edit(RESULTS / "report/record.json", change, new_id=True)
    (RESULTS / "seal.json").unlink(missing_ok=True)


def read_other_bytes(record: dict[str, Any], text: str = "other weights") -> None:
    """Let a job have read other bytes of the encoder than its maker left."""
    Path("other").write_text(text)
    found = digest_file(Path("other"))
    Path("other").unlink()
    (entry,) = [e for e in record["inputs"] if e["name"] == "encoder"]
    entry |= {"size": found.size, "sha256": found.sha256, "md5": found.md5, "record": None}


def test_an_honest_study_is_neither_contradicted_nor_accused(study):
    assert wrong() == {}
    assert contradicted() == []


@fault(
    "Hostile input",
    "an input that was exchanged for one job and put back",
    "`verify` and `explain` name the job that read other bytes",
)
def test_an_input_that_was_exchanged_for_one_job_and_put_back_is_named_at_its_reader(study):
    forge(MEASURED, read_other_bytes)
    report_anew()

    assert any("records other bytes than were read" in line for line in contradicted())
    assert wrong() == {("tampered", "finetune/r0-s0/full/record.json"): {CELL}}


def test_an_outside_file_that_two_jobs_read_with_different_bytes_is_named(study):
    Path("list.txt").write_text("now")
    here = digest_file(Path("list.txt"))
    for number, run in enumerate(("r0-s0", "r1-s0")):
        entry = {"name": "list", "path": "list.txt", "size": here.size, "md5": here.md5,
                 "sha256": "f" * 64 if number else here.sha256, "record": None}  # fmt: skip
        forge(
            RESULTS / f"finetune/{run}/full/record.json",
            lambda record, entry=entry: record["inputs"].append(entry),
        )
    report_anew()

    assert wrong() == {("stale", "list.txt"): {"main/r1/full"}}
    Path("list.txt").unlink()
    assert wrong() == {("stale", "list.txt"): {CELL, "main/r1/full"}}


def test_without_its_makers_record_a_changed_data_set_names_the_cells_of_all_readers(study):
    (RESULTS / "prepare/scenes/record.json").unlink()
    (RESULTS / "prepare/scenes/dataset.json").write_text("{}")

    assert wrong()["tampered", "prepare/scenes/dataset.json"] == {CELL, "main/r1/full"}


def test_a_record_whose_metrics_are_not_those_of_its_file_is_named(study):
    forge(MEASURED, lambda record: record["metrics"].update(top1_last=0.99))
    report_anew()

    assert any("has top1_last 0.99, metrics.json has" in line for line in contradicted())
    assert wrong() == {("tampered", "finetune/r0-s0/full/record.json"): {CELL}}


def test_an_archive_with_another_md5_than_the_published_one_is_named(study):
    archive = "images"
    forge(
        RESULTS / "prepare/scenes/record.json",
        lambda record: record["recipe"]["archive"]["files"][archive].update(md5="0" * 32),
    )
    report_anew()

    assert any("its md5 differs from the published one" in line for line in contradicted())
    assert set().union(*wrong().values()) == {CELL, "main/r1/full"}


def test_predictions_that_no_record_names_are_foreign_and_contradict_their_cell(study):
    def forget(record: dict[str, Any]) -> None:
        record["outputs"] = [o for o in record["outputs"] if o["name"] != "predictions.parquet"]

    forge(MEASURED, forget)
    report_anew()

    assert any("predictions.parquet: no record names it" in line for line in contradicted())
    assert wrong() == {("foreign", "finetune/r0-s0/full/predictions.parquet"): {CELL}}


@pytest.mark.parametrize("first", [True, False])
def test_a_second_row_for_one_cell_is_tampered_before_or_after_the_true_one(study, first):
    table = pq.read_table(CELLS)
    lie = pa.Table.from_pylist([table.to_pylist()[0] | {"value": 99.0}], schema=table.schema)
    pq.write_table(pa.concat_tables([lie, table] if first else [table, lie]), CELLS)
    report_as_it_is()

    (finding,) = [f for f in audit().findings if f.wrong and f.place == CELLS.as_posix()]
    assert finding.word == "tampered"
    assert f"2 rows for '{CELL}'" in finding.says


def write_invented_claim(**changes: Any) -> Study:
    """Write claims.parquet with a claim that the study does not have."""
    now = load_study(STUDY_PATH, STAGES)
    claim = Claim(says="the first is best", order=["main/r1/full", CELL])
    asked = now.model_copy(update={"claims": {"best": claim}})
    write_claims(judge_claims(asked, read_cells(CELLS), load_published(PUBLISHED)), CLAIMS)
    table = pq.read_table(CLAIMS)
    rows = [row | changes for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), CLAIMS)
    return now


def test_a_claim_that_the_study_does_not_have_is_named(study):
    now = write_invented_claim()
    assert wrong()["tampered", "claims.parquet"] == set()

    report_as_it_is(CLAIMS)  # of another study, as far as its record tells
    assert wrong() == {("stale", STUDY_PATH.as_posix()): set()}

    shown = shown_values(now)
    asked = {"recipe": shown, "recipe_digest": sha256_of_json(shown)}
    edit(RESULTS / "report/record.json", lambda record: record.update(asked), new_id=True)
    assert wrong() == {("tampered", "claims.parquet"): set()}


@pytest.mark.parametrize(
    "changes",
    [
        {"parents": []}, {"parents": None}, {"seeds": [0]}, {"seeds": None}, {"seed_values": []},
        {"seed_values": [None, None]}, {"finetune_seeds": [1]}, {"row": "r7"}, {"id": None},
        {"printed": None},
    ],
)  # fmt: skip
def test_a_row_that_is_no_cell_is_one_finding(study, changes):
    table = pq.read_table(CELLS)
    first, *others = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([first | changes, *others], schema=table.schema), CELLS)
    report_as_it_is()

    assert ("tampered", "cells.parquet") in wrong()
    with pytest.raises(InputError, match=r"cells.parquet: .*run `report` again"):
        contradicted()


@pytest.mark.parametrize("key", ["steps", "verdict", "kind", "says", "id", "cells"])
def test_a_row_that_is_no_claim_is_one_finding(study, key):
    write_invented_claim(**{key: None})
    report_as_it_is(CLAIMS)

    assert wrong() == {("tampered", "claims.parquet"): set()}


def test_a_step_of_a_claim_without_a_number_may_lack_it_but_not_its_cells(study):
    nothing = {"difference": None, "low": None, "high": None, "printed": "", "printed_interval": ""}
    write_invented_claim(steps=[{"below": "a", "above": "b", **nothing}])
    assert len(read_claims(CLAIMS)) == 1
    write_invented_claim(steps=[{"below": None, "above": "b", **nothing}])

    with pytest.raises(InputError, match=r"claims without a value in 'steps.below'"):
        read_claims(CLAIMS)


@pytest.fixture
def committed(study):
    """The study, with its seal in git."""
    git("init", "-q")
    git("add", "-f", RESULTS / "seal.json")
    git("commit", "-qm", "seal the study")


@fault(
    "Hostile input",
    "a forged record, with seal and report made anew",
    "`verify` names it by the seal that git has",
)
def test_a_forged_record_is_named_by_the_committed_seal_after_seal_and_report_were_made_anew(
    committed,
):
    forge(MEASURED, lambda record: record["hardware"].update(cpu="none"))
    report_anew()

    assert contradicted() == []
    assert wrong() == {("tampered", "finetune/r0-s0/full/record.json"): {CELL}}


def test_a_seal_that_was_deleted_after_its_commit_is_missing(committed):
    (RESULTS / "seal.json").unlink()

    assert wrong() == {("missing", "seal.json"): set()}


def test_an_evaluation_that_was_honestly_made_again_after_the_commit_is_a_remark(committed):
    finetune("r0-s0", "full", 0, 11)
    edit(MEASURED, by_recipe_of_today, new_id=True)
    report()

    found = audit()

    assert [f for f in found.findings if f.wrong] == []
    (line,) = [f.says for f in found.findings if f.place.endswith("seal.json")]
    assert line == "since the committed seal 1 results were made again and 0 given up"


def forge_all(*stages: str) -> None:
    """Give every record of these stages another id, with the times that it had."""
    for place in record_paths(RESULTS):
        if place.parts[2] in stages:
            forge(place, lambda record: record["hardware"].update(cpu="none"))


@fault(
    "Hostile input",
    "every record forged, with seal and report made anew",
    "`verify` names each by its copy in git; without one nothing shows when it was made",
)
@pytest.mark.parametrize("stages", [("pretrain", "finetune"), ("prepare", "pretrain", "finetune")])
def test_records_that_are_all_forged_are_named_by_their_copies_in_git(study, stages):
    git("init", "-q")
    git("add", "-f", RESULTS)
    git("commit", "-qm", "results and seal")
    forge_all(*stages)
    report_anew()

    records = [path.relative_to(RESULTS).as_posix() for path in record_paths(RESULTS)]
    forged = {("tampered", r) for r in records if r.split("/")[0] in stages}
    assert wrong().keys() == forged


def test_without_copies_in_git_nothing_shows_when_records_were_made(committed):
    forge_all("prepare", "pretrain", "finetune")
    report_anew()

    assert wrong() == {}
    says = [f.says for f in audit().findings if f.place.endswith("seal.json")]
    assert any(
        "git has none of them, so nothing shows that they were made later" in s for s in says
    )


def test_a_table_that_was_edited_with_the_reports_record_and_seal_is_named(study):
    git("init", "-q")
    git("add", "-f", RESULTS)
    git("commit", "-qm", "results and seal")
    table = RESULTS / "tables/main.md"
    table.write_text(table.read_text().replace("| r0 |", "| best |"))
    found = digest_file(table)

    def change(record: dict[str, Any]) -> None:
        (entry,) = [e for e in record["outputs"] if e["path"] == table.as_posix()]
        entry |= {"size": found.size, "sha256": found.sha256, "md5": found.md5}

    edit(RESULTS / "report/record.json", change, new_id=True)
    seals.write_seal(load_study(STUDY_PATH, STAGES), STUDY_PATH, RESULTS)

    assert wrong() == {("tampered", "report/record.json"): set()}


def test_a_file_that_only_the_seal_names_is_foreign(study):
    (RESULTS / "secret.csv").write_text("1")
    seal = json.loads((RESULTS / "seal.json").read_text())
    seal["files"][f"{RESULTS}/secret.csv"] = digest_file(RESULTS / "secret.csv").sha256
    seal["digest"] = seals.digest_of(seal)
    (RESULTS / "seal.json").write_text(json.dumps(seal))

    assert wrong() == {("foreign", "secret.csv"): set()}


@pytest.mark.skipif(
    shutil.which("ssh-keygen") is None,
    reason="needs ssh-keygen: install openssh-client, as CI does",
)
def test_a_signature_of_the_seal_must_be_one_and_stay(committed):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", "key"], check=True
    )
    seal = RESULTS / "seal.json"
    signature = seal.with_name("seal.json.sig")
    sign(seal, Path("key"), signature)
    assert wrong() == {}
    git("add", "-f", signature)
    git("commit", "-qm", "sign")

    signature.write_text("garbage")
    assert wrong() == {("tampered", "seal.json.sig"): set()}
    signature.unlink()
    assert wrong() == {("missing", "seal.json.sig"): set()}


def test_what_is_printed_is_not_among_the_files_that_git_leaves_out(study):
    (RESULTS / ".gitignore").write_text("*\n")
    (RESULTS / "tables/main.md").unlink()

    assert ("missing", "tables/main.md") in wrong()


def rewrite(path: Path, content: bytes) -> None:
    """Exchange a file and let its record, and all that rests on it, name the new bytes."""
    path.write_bytes(content)
    found = digest_file(path)

    def change(record: dict[str, Any]) -> None:
        for entry in (*record["inputs"], *record["outputs"]):
            if entry["path"] == path.as_posix():
                entry |= {"size": found.size, "sha256": found.sha256, "md5": found.md5}

    for place in record_paths(RESULTS):
        edit(place, change)
    forge(MEASURED, lambda record: None)
    report_anew()


def add_history(run: str, text: str) -> None:
    path = RESULTS / f"pretrain/{run}/metrics.jsonl"
    path.write_text(text)
    entry = {"name": path.name, "path": path.as_posix(), "size": 0, "sha256": "", "md5": ""}
    edit(path.with_name("record.json"), lambda record: record["outputs"].append(entry))
    rewrite(path, text.encode())


def remarks(place: str) -> list[str]:
    return [f.says for f in audit().findings if f.remark and f.place.endswith(place)]


@fault(
    "Hostile input",
    "an encoder copied from one seed to another, all records with it",
    "`verify` names both runs' cells",
)
def test_an_encoder_that_is_that_of_another_seed_is_a_copy(study):
    rewrite(RESULTS / "pretrain/r0-s1/encoder.safetensors", ENCODER.read_bytes())

    assert wrong() == {("tampered", "pretrain/r0-s1/record.json"): {CELL}}


def test_untrained_encoders_of_two_rows_with_one_seed_may_be_equal(study):
    rewrite(RESULTS / "pretrain/r1-s0/encoder.safetensors", ENCODER.read_bytes())

    assert wrong() == {}
    assert remarks("r1-s0/record.json") == []


def test_external_weights_are_those_of_every_seed(study):
    here = digest_file(Path("images.tar"))
    entry = {"name": "checkpoint", "path": "images.tar", "size": here.size, "md5": here.md5,
             "sha256": here.sha256, "record": None}  # fmt: skip
    records = [RESULTS / f"pretrain/r0-s{seed}/record.json" for seed in (0, 1)]
    for path in records:
        edit(path, lambda record: record["inputs"].append(entry))
    rewrite(RESULTS / "pretrain/r0-s1/encoder.safetensors", ENCODER.read_bytes())

    # An input of that name is not enough.
    assert wrong() == {("tampered", "pretrain/r0-s1/record.json"): {CELL}}

    def ask(record: dict[str, Any]) -> None:
        record["recipe"]["encoder"].update(checkpoint={"path": "a"})
        record["recipe_digest"] = digest_of(record["recipe"])

    for path in records:
        edit(path, ask)
    forge(MEASURED, lambda record: None)
    report_anew()

    # Today's recipe asks for none.
    stale = {("stale", f"pretrain/r0-s{seed}/record.json"): {CELL} for seed in (0, 1)}
    assert wrong() == stale
    # Of a third run, which is untrained and has the seed of the first alone, they are not.
    rewrite(RESULTS / "pretrain/r1-s0/encoder.safetensors", ENCODER.read_bytes())
    copied = {("tampered", "pretrain/r1-s0/record.json"): {CELL, "main/r1/full"}}
    assert wrong() == stale | copied


def test_an_untrained_encoder_that_is_a_trained_one_is_a_copy(study):
    edit(RESULTS / "pretrain/r1-s0/record.json", lambda record: record.update(recipe_digest="e"))
    add_history("r0-s0", LINE)
    rewrite(RESULTS / "pretrain/r1-s0/encoder.safetensors", ENCODER.read_bytes())

    found = wrong()

    assert found["tampered", "pretrain/r1-s0/record.json"] == {CELL, "main/r1/full"}


def test_a_history_that_is_time_by_time_that_of_another_run_is_a_copy(study):
    add_history("r0-s0", LINE)
    assert wrong() == {}
    add_history("r1-s0", LINE)

    assert wrong() == {("tampered", "pretrain/r1-s0/record.json"): {CELL, "main/r1/full"}}


def test_an_input_that_was_replaced_while_a_job_ran_is_a_remark(study):
    forge(MEASURED, lambda record: record["inputs"][0].update(replaced=True))
    report_anew()

    assert wrong() == {}
    assert any(
        "was replaced or touched while the job ran" in line for line in remarks("record.json")
    )


def test_a_job_that_started_before_what_it_read_was_made_is_a_remark(study):
    forge(MEASURED, lambda record: record.update(started="2001-01-01T00:00:00.000000Z"))
    report_anew()

    assert wrong() == {}
    assert any("started 2001-01-01" in line for line in remarks("r0-s0/full/record.json"))


def add_manifest(*twins: str) -> None:
    """Give the data set a manifest of the 20 images, of which some are training images too."""
    rows = [{"key": f"val/{i}", "label": 0, "split": "val", "sha256": f"v{i}"} for i in range(20)]
    rows += [
        {"key": f"train/{x}", "label": 1, "split": "train", "sha256": x} for x in ("t", *twins)
    ]
    pq.write_table(pa.Table.from_pylist(rows), "manifest")
    rewrite(RESULTS / "prepare/scenes/manifest.parquet", Path("manifest").read_bytes())
    Path("manifest").unlink()


def test_validation_images_that_are_training_images_too_are_a_remark(study):
    add_manifest()
    assert remarks("manifest.parquet") == []
    add_manifest("v3", "v4")

    assert wrong() == {}
    assert remarks("manifest.parquet") == [
        "2 of 20 images of split 'val' are, byte for byte, training images too: results on this "
        "split are too good"
    ]


@fault(
    "Hostile input",
    "predictions with images left out, twice or unknown, or with other labels",
    "`verify` names them",
)
@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (lambda rows: rows[1:], "19 predictions of 20 images: some are left out"),
        (lambda rows: [*rows[1:], rows[1]], "20 predictions of 20 images: some are left out"),
        (lambda rows: [*rows[1:], rows[0] | {"key": "none"}], "are of no image of the data set"),
        (lambda rows: [*rows[1:], rows[0] | {"label": 2}], "1 of 20 labels are not those"),
        (
            lambda rows: [rows[0] | {"key": "train/t", "label": 1, "top5": [0, 1]}],
            "1 of 1 predictions are of no image of the data set that is measured",
        ),
    ],
)
@pytest.mark.parametrize("has_variants", [False, True])
def test_predictions_of_other_images_or_labels_than_the_manifest_has_are_named(
    study, lie, says, has_variants
):
    add_manifest()
    path = MEASURED.with_name("predictions.parquet")
    table = pq.read_table(path)
    rows = table.to_pylist()
    if has_variants:
        path = path.with_name("predictions-knn.parquet")
        rows = [{key: row[key] for key in ("key", "label")} for row in rows]
        rows = [row | {"variant": "10"} for row in rows] + lie(
            [row | {"variant": "20"} for row in rows]
        )
        pq.write_table(pa.Table.from_pylist(rows), "lie")
        entry = {"name": path.name, "path": path.as_posix(), "size": 0, "sha256": "", "md5": ""}
        edit(MEASURED, lambda record: record["outputs"].append(entry))
    else:
        pq.write_table(pa.Table.from_pylist(lie(rows), schema=table.schema), "lie")
    rewrite(path, Path("lie").read_bytes())

    (finding,) = [f for f in audit().findings if f.place == path.as_posix()]

    assert (finding.word, finding.cells) == ("tampered", (CELL,))
    assert says in finding.says


def test_a_damaged_column_of_predictions_is_one_finding_and_ends_no_audit(study):
    add_manifest()
    path = MEASURED.with_name("predictions.parquet")
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "key", pa.array(range(20))), path)

    assert wrong() == {("tampered", "finetune/r0-s0/full/predictions.parquet"): {CELL}}


@pytest.fixture
def kept_by_dvc(study):
    """The study, kept by DVC: a lock with a file for the page and a folder with its listing."""
    stage = RESULTS / "finetune"
    listing = _listing(stage)
    name = hashlib.md5(listing).hexdigest() + ".dir"
    place = CACHE / name[:2] / name[2:]
    place.parent.mkdir(parents=True)
    place.write_bytes(listing)
    outs = [{"path": stage.as_posix(), "md5": name}]
    for path in (RESULTS / "report.html", CELLS):
        outs.append({"path": path.as_posix(), "md5": digest_file(path).md5})
    Path("dvc.lock").write_text(json.dumps({"stages": {"reproduce@toy": {"outs": outs}}}))
    return place


def test_what_dvc_keeps_as_recorded_is_no_finding_with_or_without_its_listing(kept_by_dvc):
    assert wrong() == {}
    kept_by_dvc.unlink()
    assert wrong() == {}


@pytest.mark.parametrize("number", range(3))
def test_an_edited_md5_of_page_cells_or_folder_in_the_lock_is_named(kept_by_dvc, number):
    def change(lock: dict[str, Any]) -> None:
        lock["stages"]["reproduce@toy"]["outs"][number]["md5"] = "0" * 32 + (".dir" * (not number))

    edit(Path("dvc.lock"), change)

    assert list(wrong()) == [("stale", "dvc.lock")]


@pytest.mark.parametrize("text", ["stages: []\n", "[" * 5000, "[]", "stages: {reproduce@toy: 1}"])
def test_a_lock_of_another_form_is_named(kept_by_dvc, text):
    Path("dvc.lock").write_text(text)

    assert wrong() == {("tampered", "dvc.lock"): set()}


def test_an_edited_listing_of_dvc_is_named(kept_by_dvc):
    kept_by_dvc.write_bytes(kept_by_dvc.read_bytes().replace(b"predictions", b"predictionz"))

    assert wrong() == {("tampered", "dvc.lock"): set()}


def test_a_stage_folder_that_is_a_link_has_the_same_chain_on_page_and_seal_and_is_searched(study):
    chain = json.loads((RESULTS / "seal.json").read_text())["chain"]
    (RESULTS / "finetune").rename("elsewhere")
    (RESULTS / "finetune").symlink_to(Path("elsewhere").resolve())
    report_anew()

    assert json.loads((RESULTS / "seal.json").read_text())["chain"] == chain
    assert chain in (RESULTS / "report.html").read_text()
    assert wrong() == {}
    Path("elsewhere/better.parquet").write_text("lies")
    assert wrong() == {("foreign", "finetune/better.parquet"): set()}


@pytest.mark.parametrize("name", ["finetune/r0-s0/full", "finetune/r0-s0", "pretrain/r1-s1"])
def test_a_folder_of_a_run_that_is_a_link_is_read_like_any_other(study, name):
    chain = json.loads((RESULTS / "seal.json").read_text())["chain"]
    (RESULTS / name).rename("elsewhere")
    (RESULTS / name).symlink_to(Path("elsewhere").resolve())

    assert wrong() == {}
    report_anew()
    assert json.loads((RESULTS / "seal.json").read_text())["chain"] == chain
    assert wrong() == {}


def test_a_name_that_could_steer_the_terminal_is_printed_with_escapes(capsys):
    lie = Finding("foreign", "results/toy/a\x1b[2J\nok  b", "no record \x1b[1A is this file")

    _show(Verification("toy", [lie], Checked()))

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert r"a\x1b[2J\nok  b: no record \x1b[1A is" in shown


@pytest.mark.parametrize("seed", range(16))
def test_whatever_lie_explain_contradicts_verify_does_not_pass(study, seed):
    random_lie(random.Random(seed))

    try:
        lines = contradicted()
    except InputError as error:
        lines = [str(error)]
    try:
        passes = audit().wrong == []
    except InputError:
        passes = False

    assert not (lines and passes), lines


def random_lie(rng: random.Random) -> None:
    """Change one value of one record or file; or a value of a record and all that rests on it."""
    path = rng.choice(record_paths(RESULTS))
    if rng.random() < 0.3:
        path = rng.choice([p for p in path.parent.iterdir() if p.is_file()])
        path.write_bytes(path.read_bytes() + b" ")
    elif rng.random() < 0.5:
        edit(path, lambda record: _lie(record, rng), new_id=rng.random() < 0.5)
    else:
        forge(path, lambda record: _lie(record, rng))
        report_anew()


def _lie(record: dict[str, Any], rng: random.Random) -> None:
    """Change a leaf of a record, an entry of its files or its metrics."""
    entries = [*record["inputs"], *record["outputs"]]
    entry, files = rng.choice(entries), rng.choice(("inputs", "outputs"))
    lies: list[Callable[[], object]] = [
        lambda: entry.update(sha256="a" * 64),
        lambda: entry.update(md5="a" * 32),
        lambda: entry.update(size=(entry["size"] or 0) + 1),
        lambda: "record" in entry and entry.update(record=rng.choice([None, "b" * 64])),
        lambda: record[files].remove(rng.choice(record[files])),
        lambda: record["metrics"].update(top1_last=0.5, loss=0.1),
        lambda: record.update(seed=7),
        lambda: record.update(run=rng.choice(["r0-s0", "r1-s1", "scenes"])),
        lambda: record["code"].update(dirty_diff_sha256="c" * 64),
        lambda: record["recipe"].update(archive={"files": {"images": {"md5": "0" * 32}}}),
    ]
    rng.choice(lies)()
    json.dumps(record)


SEVEN = ["--seed", "7"]
OTHER = ["--encoder", "results/toy/pretrain/r0-s1/encoder.safetensors"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r["argv"].extend(SEVEN), "its command has --seed 7, its record 0"),
        (lambda r: r["argv"].extend(OTHER), f"its command has {' '.join(OTHER)}, its record has"),
        (lambda r: r.update(argv=["true"]), "its command is not `python -m folk finetune ...`"),
        (lambda r: r["argv"].remove("--encoder"), "which is no option"),
        (lambda r: r.update(argv=r["argv"][:-4]), "its record has the input"),
        (lambda r: r["recipe"]["optim"].update(epochs=500), "its recipe is not that of"),
        (lambda r: r.update(parents=[]), "its parents are not the records"),
    ],
)
def test_a_record_that_contradicts_itself_is_tampered(study, change, says):
    edit(MEASURED, change, new_id=True)

    found = [f for f in audit().findings if f.place == MEASURED.as_posix() and f.wrong]

    assert ("tampered", True) in {(f.word, says in f.says) for f in found}


def test_an_input_of_another_job_without_digests_breaks_the_chain(study):
    def cut(record: Any) -> None:
        for entry in record["inputs"]:
            entry |= {"size": None, "sha256": None, "md5": None, "record": None}
        record["parents"] = []

    edit(MEASURED, cut, new_id=True)

    assert wrong()["tampered", "finetune/r0-s0/full/record.json"] == {CELL}


def test_a_record_that_names_its_own_result_or_an_input_without_a_name_is_one_finding(study):
    def loop(record: Any) -> None:
        own = {key: record["outputs"][0][key] for key in ("path", "size", "sha256", "md5")}
        record["inputs"].append({"name": "", "record": None, **own})

    edit(MEASURED, loop, new_id=True)

    assert "stale" in {word for word, _ in wrong()}
