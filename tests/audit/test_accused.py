"""What is unfinished, redone or declared is never accused, and what was planted always is."""

import json
import shutil
from pathlib import Path

import pytest

from folk.evidence.adapters.dvc_stage import write_metrics_summary
from folk.stages.table import STAGES
from tests.audit import conftest
from tests.audit.conftest import RESULTS, finetune, pretrain
from tests.audit.many_runs import ENCODER, audit, fill, report
from tests.faults.table import fault
from tests.toy import edit, replace_in

CELL = {"main/r0/full"}


def wrong() -> dict[tuple[str, str], set[str]]:
    """Cells by word and file, of everything for which the audit fails."""
    return {
        (f.word, f.place.removeprefix("results/toy/")): set(f.cells) for f in audit().findings
        if f.wrong
    }  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished and sealed study of one row and two seeds."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill(1, 2)
        write_metrics_summary(RESULTS, STAGES)
        report()
        assert wrong() == {}
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it in the current folder, in which jobs can be done again."""
    shutil.copytree(made, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    real = conftest.opened

    def by_recipe_of_today(*place, recipe, **fields):
        return real(*place, recipe={**recipe, **ENCODER}, **fields)

    monkeypatch.setattr(conftest, "opened", by_recipe_of_today)


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_job_that_was_interrupted_and_finished_later_is_not_accused(study, is_sealed):
    with pytest.raises(KeyboardInterrupt):
        pretrain("r0-s0", 0, stop=True)
    pretrain("r0-s0", 0)
    finetune("r0-s0", "full", 0, 0)
    report()
    if not is_sealed:
        (RESULTS / "seal.json").unlink()

    found = audit()

    assert [f for f in found.findings if f.wrong] == []
    assert set(map(tuple, found.cells.values())) == {("ok",)}
    assert [f.word for f in found.findings if "finished it" in f.says] == ["failed"]


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("hits", [3, 9])  # the same number as before, and another
def test_a_job_that_was_redone_by_hand_is_stale_and_nothing_is_tampered(study, is_sealed, hits):
    if not is_sealed:
        (RESULTS / "seal.json").unlink()
    finetune("r0-s1", "full", 1, hits)

    found = wrong()

    assert {word for word, _ in found} == {"stale"}
    assert ("stale", "report/record.json") in found
    assert {cell for cells in found.values() for cell in cells} == CELL
    report()
    write_metrics_summary(RESULTS, STAGES)
    report()
    assert wrong() == {}


def test_a_deleted_evaluation_is_missing_and_the_study_file_not_stale(study):
    shutil.rmtree(RESULTS / "finetune/r0-s1/full")

    assert wrong() == {("missing", "finetune/r0-s1/full/record.json"): CELL}


@fault("Processes", "`folk verify` of a study that is not finished",
       "it names the first missing job of each chain, and nothing that follows")  # fmt: skip
def test_an_unfinished_study_lacks_its_first_missing_jobs_alone(study):
    for name in ("finetune", "report", "track", "tables", "figures", "metrics"):
        shutil.rmtree(RESULTS / name, ignore_errors=True)
    for path in RESULTS.glob("*.*"):
        path.unlink()
    unmeasured = {
        ("missing", f"finetune/r0-s{seed}/full/record.json"): CELL for seed in (0, 1)
    }  # fmt: skip
    assert wrong() == unmeasured

    shutil.rmtree(RESULTS / "pretrain")
    assert wrong() == {("missing", f"pretrain/r0-s{seed}/record.json"): CELL for seed in (0, 1)}

    shutil.rmtree(RESULTS / "prepare")
    assert wrong() == {("missing", "prepare/scenes/record.json"): CELL}


@fault("Hostile input", "a record or the seal, edited to name another digest of an honest file",
       "`folk verify` calls the record or the seal tampered, and the file nothing")  # fmt: skip
def test_an_edited_record_or_seal_accuses_no_file(study):
    place = RESULTS / "pretrain/r0-s0/record.json"
    kept = place.read_bytes()
    edit(place, lambda record: record["outputs"][0].update(sha256="0" * 64))
    assert wrong() == {("tampered", "pretrain/r0-s0/record.json"): CELL}
    edit(place, lambda record: record.update(study="other"))
    assert wrong() == {("tampered", "pretrain/r0-s0/record.json"): CELL}
    place.write_bytes(kept)

    edit(
        RESULTS / "seal.json", lambda seal: seal["files"].update(dict.fromkeys(seal["files"], "0"))
    )
    assert wrong() == {("tampered", "seal.json"): CELL}


def test_a_failed_record_in_the_folder_of_another_run_is_tampered(study):
    with pytest.raises(KeyboardInterrupt):
        pretrain("r0-s0", 0, stop=True)
    pretrain("r0-s0", 0)
    finetune("r0-s0", "full", 0, 0)
    (record,) = RESULTS.glob("failed/pretrain/r0-s0/*.json")
    other = RESULTS / "failed/pretrain/r0-s1" / record.name
    other.parent.mkdir()
    record.rename(other)
    report()

    assert wrong() == {("tampered", other.relative_to(RESULTS).as_posix()): CELL}


@pytest.mark.parametrize("place", ["figures/better.svg", "tables/main.txt", "metrics/r9-s0.json"])
@pytest.mark.parametrize("lost", ["", "track"])
def test_a_planted_file_is_foreign_whatever_its_folder(study, place, lost):
    (RESULTS / place).parent.mkdir(exist_ok=True)
    (RESULTS / place).write_text("99.9")
    shutil.rmtree(RESULTS / lost, ignore_errors=True) if lost else None

    found = wrong()

    assert found.pop(("foreign", place)) == set()
    assert set(found) == ({("missing", "track/record.json")} if lost else set())


def test_a_link_to_a_folder_of_others_is_foreign_and_one_to_known_files_is_not(study):
    Path("elsewhere").mkdir()
    Path("elsewhere/main.md").write_text("99.9")
    (RESULTS / "drafts").symlink_to(Path("elsewhere").absolute())
    (RESULTS / "tables/up").symlink_to("..")
    (RESULTS / "pretrain").rename("scratch")
    (RESULTS / "pretrain").symlink_to(Path("scratch").absolute())

    assert wrong() == {("foreign", "drafts"): set(), ("foreign", "tables/up"): set()}

    Path("scratch/better.txt").write_text("99.9")
    assert ("foreign", "pretrain/better.txt") in wrong()


def test_a_number_typed_into_the_page_is_a_finding_on_the_page_and_on_no_cell(study):
    replace_in(RESULTS / "report.html", "</title>", " 99.9</title>")

    assert wrong() == {("tampered", "report.html"): set()}


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_summary_that_is_gone_or_empty_or_edited_is_named(study, is_sealed):
    path = RESULTS / "metrics/r0-s0.json"
    kept = path.read_text()
    if not is_sealed:
        (RESULTS / "seal.json").unlink()

    path.unlink()
    assert list(wrong()) == [("missing", "metrics/r0-s0.json")]
    path.write_text("")
    assert list(wrong()) == [("tampered", "metrics/r0-s0.json")]
    path.write_text(kept.replace('"loss": 0.5', '"loss": 0.1'))
    assert list(wrong()) == [("tampered" if is_sealed else "stale", "metrics/r0-s0.json")]


@pytest.mark.parametrize("text", ["", "{}", '{"records": [1]}'])
def test_a_damaged_note_of_adopted_results_is_one_finding(study, text):
    (RESULTS / "adopted.json").write_text(text)

    assert wrong() == {("tampered", "adopted.json"): set()}


def test_a_study_that_cannot_be_written_is_verified(study, monkeypatch):
    """No call of `open` asks for writing, whose answer would be an error of the disk."""
    real, asked = open, []

    def refusing(file, mode="r", *rest, **options):
        if set(mode) & set("wax+") and "results" in str(file):
            asked.append(file)
            raise OSError(30, "Read-only file system")
        return real(file, mode, *rest, **options)

    monkeypatch.setattr("builtins.open", refusing)
    monkeypatch.setattr("io.open", refusing)

    assert (wrong(), asked) == ({}, [])


def test_the_findings_of_a_study_are_plain_values(study):
    (RESULTS / "tables/main.md").unlink()

    assert json.loads(json.dumps(audit().as_json()))["wrong"] == 1
