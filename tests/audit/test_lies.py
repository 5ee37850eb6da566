"""Lies planted in a finished study: what `explain` contradicts, `verify` does not pass."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from folk.evidence.audit.chain import Chain
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.today import RecipeToday, Today
from folk.evidence.core.digest import digest_file
from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import READERS, record_paths
from folk.evidence.record.schema import record_id
from folk.evidence.results.cells import read_cells
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.audit.conftest import CELLS, PUBLISHED, RESULTS, TOLD
from tests.audit.many_runs import STUDY_PATH, audit, fill, report
from tests.toy import edit

ENCODER = RESULTS / "pretrain/r0-s0/encoder.safetensors"
MEASURED = RESULTS / "finetune/r0-s0/full/record.json"
CELL = "main/r0/full"


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Two rows of two seeds, finished and sealed."""
    folder = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill(2, 2)
    return folder


@pytest.fixture
def study(honest, tmp_path, monkeypatch):
    shutil.copytree(honest, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")


def wrong() -> dict[tuple[str, str], set[str]]:
    return {(f.word, f.place.removeprefix("results/toy/")): set(f.cells) for f in audit().findings
            if f.wrong}  # fmt: skip


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


def report_on_cells_as_they_are() -> None:
    """Give the report's record the bytes that cells.parquet has now, and no seal."""
    found = digest_file(CELLS)

    def change(record: dict[str, Any]) -> None:
        (entry,) = [e for e in record["outputs"] if e["path"] == CELLS.as_posix()]
        entry |= {"size": found.size, "sha256": found.sha256, "md5": found.md5}

    edit(RESULTS / "report/record.json", change, new_id=True)
    (RESULTS / "seal.json").unlink()


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
    report_on_cells_as_they_are()

    (finding,) = [f for f in audit().findings if f.wrong and f.place == CELLS.as_posix()]
    assert finding.word == "tampered"
    assert f"2 rows for '{CELL}'" in finding.says


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
