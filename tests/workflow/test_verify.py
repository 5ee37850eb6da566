"""Planted lies are named, with the cells they reach; an honest study raises no alarm."""

import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from folk.cli.recipes_today import recipes_today
from folk.evidence.audit.checks.files import Sample, check_files
from folk.evidence.audit.checks.uncommitted import check_uncommitted
from folk.evidence.audit.seal import write_seal
from folk.evidence.audit.subject import Subject
from folk.evidence.audit.verify import verify
from folk.evidence.results.published import numbers_file
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.faults.table import fault
from tests.toy import edit, git, opened, replace_in

pytestmark = pytest.mark.slow

TINY = Path("results/tiny")
STUDY, PUBLISHED = TINY / "study.yaml", Path("config/published")
MAIN = ("full", "avg", "knn", "linear", "miou", "kshot", "contrast", "pgd")
OF_FOLK = {f"main/folk/{column}" for column in MAIN}
OF_SCRATCH = {f"main/scratch/{column}" for column in MAIN}
OF_COST = {"cost/folk/flops", "cost/folk/speed"}


def seal():
    write_seal(load_study(STUDY, STAGES), STUDY, TINY)


def audit(**options):
    study = load_study(STUDY, STAGES)
    return verify(study, STUDY, TINY, PUBLISHED, recipes_today(study, STUDY), **options)


def wrong(found) -> dict[tuple[str, str], set[str]]:
    """Cells by word and file, of everything for which the audit fails."""
    return {
        (f.word, f.place.removeprefix("results/tiny/")): set(f.cells) for f in found.findings
        if f.wrong
    }  # fmt: skip


def said(found, word: str | None = None) -> list[str]:
    return [f"{f.place}: {f.says}" for f in found.findings if word in (None, f.word)]


@pytest.fixture
def study(finished_copy, monkeypatch):
    monkeypatch.chdir(finished_copy.folder)
    return finished_copy


def test_an_untouched_study_raises_no_alarm_and_every_cell_is_derived(study):
    found = audit()

    assert wrong(found) == {}
    assert found.checked.cells == len(found.cells) + 1 == 19  # one is quoted
    assert found.checked.records == 17
    assert set(map(tuple, found.cells.values())) == {("ok",)}
    assert found.checked.not_read == found.checked.not_checked == ()
    assert said(found, "missing") == []


def test_a_study_that_was_never_sealed_is_told_so_and_not_accused(study):
    (TINY / "seal.json").unlink()

    found = audit()

    assert wrong(found) == {}
    assert said(found, "missing") == ["results/tiny/seal.json: not sealed"]


def test_every_record_and_every_file_is_read_once_so_that_time_grows_with_their_number(
    study, monkeypatch
):
    read, hashed = [], []
    for places, count, name in (
        ("folk.evidence.audit.chain", read, "read_record"),
        ("folk.evidence.core.digest", hashed, "sha256_or_none"),
    ):  # fmt: skip
        module = importlib.import_module(places)
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda path, real=real, count=count: (count.append(path), real(path))[1]
        )

    found = audit()

    assert len(read) == len(set(read)) == found.checked.records
    assert len(hashed) == len(set(hashed)) == found.checked.files


def test_time_stamps_mean_nothing_and_a_sealed_study_is_as_sealed(study):
    seal()
    for path in Path().rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)

    found = audit()

    assert wrong(found) == {}
    assert said(found, "missing") == []


def test_a_comment_in_code_or_recipe_is_never_a_finding_that_fails(study):
    replace_in(
        Path("folk/stages/tasks/probe.py"), "    linear = recipe", "    # why\n    linear = recipe"
    )
    replace_in(Path("config/recipes/pretrain/demo-folk.yaml"), "about:", "# A remark.\nabout:")
    replace_in(Path("config/tiny.yaml"), "# The whole graph", "# The entire graph")

    found = audit()

    assert wrong(found) == {}
    assert said(found, "behind") == []


@fault("Services", "a results folder made by an older version of the code",
       "`folk verify` calls it behind, no failure; the workflow makes it anew")  # fmt: skip
def test_other_code_is_behind_and_no_lie(study):
    replace_in(
        Path("folk/evidence/results/metrics/knn.py"), "-3.0 / temperature", "-4.0 / temperature"
    )

    found = audit()

    assert wrong(found) == {}
    stage, of_report = said(found, "behind")
    assert stage.startswith("folk/stages/probe.py: 2 results made by code ")
    assert of_report.startswith("results/tiny/report/record.json: made by code ")
    assert found.cells["main/folk/knn"] == ["behind"]
    assert found.cells["main/folk/full"] == ["ok"]


@pytest.mark.parametrize("form", ["md", "tex", "csv"])
def test_an_edited_table_is_named(study, form):
    path = TINY / f"tables/main.{form}"
    replace_in(path, "FOLK", "FOLX")
    edited = wrong(audit())
    path.unlink()

    assert edited == {("tampered", f"tables/main.{form}"): OF_FOLK | OF_SCRATCH}
    assert wrong(audit()) == {("missing", f"tables/main.{form}"): OF_FOLK | OF_SCRATCH}


def test_an_edited_page_and_an_edited_cell_are_named(study):
    page = TINY / "report.html"
    page.write_text(page.read_text().replace("<title>", "<title>Better: ", 1))
    table = pq.read_table(TINY / "cells.parquet")
    rows = table.to_pylist()
    assert rows[0]["id"] == "main/scratch/full"
    assert list(wrong(audit())) == [("tampered", "report.html")]

    rows[0] |= {"value": 99.0, "printed": "99.0"}
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), TINY / "cells.parquet")
    found = wrong(audit())

    assert found["tampered", "cells.parquet"] == {"main/scratch/full"}
    assert {place for _, place in found} == {"cells.parquet", "report.html"}


def test_an_edited_page_is_named_whatever_else_has_changed(study):
    replace_in(TINY / "report.html", "follows from the predictions", "follows from faith")
    (TINY / "seal.json").unlink()
    replace_in(
        Path("folk/evidence/results/metrics/knn.py"), "-3.0 / temperature", "-4.0 / temperature"
    )

    assert list(wrong(audit())) == [("tampered", "report.html")]


def test_a_claim_that_its_cells_do_not_give_is_named(study):
    path = TINY / "claims.parquet"
    table = pq.read_table(path)
    (row,) = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([row | {"verdict": "ordered"}], schema=table.schema), path)

    found = audit()

    assert wrong(found) == {("tampered", "claims.parquet"): {"main/scratch/full", "main/folk/full"}}
    assert "verdict is stored as 'ordered', derived again as" in said(found, "tampered")[0]


def test_a_study_that_is_reported_again_is_to_be_sealed_again_and_not_accused(study):
    report(sealed=False)
    assert wrong(audit()) == {("stale", "report/record.json"): set()}

    seal()

    assert wrong(audit()) == {}


def test_a_study_of_an_older_version_lacks_the_records_of_report_and_mirror_alone(study):
    for stage in ("report", "track"):
        shutil.rmtree(TINY / stage)
    (TINY / "seal.json").unlink()

    found = audit()

    assert wrong(found) == {
        ("missing", f"{stage}/record.json"): set() for stage in ("report", "track")
    }
    assert all("before 0.3" in line for line in said(found, "missing")[:2])


def test_a_report_that_failed_leaves_its_record(study):
    path = TINY / "finetune/folk-s0/full/metrics.json"
    kept = path.read_text()
    path.write_text(re.sub(r'"top1_last": 0\.\d+', '"top1_last": 0.999', kept))
    done = study.run("-m", "folk", "report", STUDY.as_posix())
    path.write_text(kept)

    found = audit()

    assert done.returncode == 2
    (record,) = TINY.glob("failed/report/record-*.failed.json")
    (line,) = said(found, "failed")
    assert line.startswith(f"{record}: report failed (InputError: ")
    assert wrong(found) == {}


def test_metrics_edited_with_size_and_time_stamp_kept_are_named(study):
    path = TINY / "finetune/folk-s0/full/metrics.json"
    before, text = path.stat(), path.read_text()
    value = re.search(r'"top1_last": (0\.\d+)', text)
    lie = "0." + "9" * (len(value.group(1)) - 2)
    path.write_text(text.replace(value.group(0), f'"top1_last": {lie}'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size

    found = wrong(audit())

    # The classifier of this evaluation is also what robustness measures.
    reached = {"main/folk/full", "main/folk/avg", "main/folk/contrast", "main/folk/pgd"}
    assert found == {("tampered", "finetune/folk-s0/full/metrics.json"): reached}


@fault(
    "Bytes",
    "one flipped bit in an encoder of a finished study",
    "`verify` names it and every cell that rests on it",
)
def test_one_flipped_byte_in_an_encoder_is_named(study):
    path = TINY / "pretrain/folk-s0/encoder.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    found = wrong(audit())

    assert found == {("tampered", "pretrain/folk-s0/encoder.safetensors"): OF_FOLK}


@fault(
    "Hostile input",
    "predictions swapped between two runs",
    "`verify` names both",
)
def test_swapped_predictions_are_named_on_both_sides(study):
    one, other = (TINY / f"finetune/{run}/few-a/predictions.parquet" for run in
                  ("folk-s0", "scratch-s0"))  # fmt: skip
    temp = one.with_name("aside")
    one.rename(temp), other.rename(one), temp.rename(other)

    found = wrong(audit())

    assert found == {
        ("tampered", "finetune/folk-s0/few-a/predictions.parquet"): {"main/folk/avg"},
        ("tampered", "finetune/scratch-s0/few-a/predictions.parquet"): {"main/scratch/avg"},
    }


@fault(
    "Hostile input",
    "an edited record, with or without a new id",
    "`verify` names it and every cell that rests on it",
)
@pytest.mark.parametrize("with_id", [False, True])
def test_an_edited_record_is_named(study, with_id):
    path = TINY / "pretrain/folk-s0/record.json"
    edit(path, lambda record: record["hardware"].update(cpu="none"), with_id)

    found = wrong(audit())

    assert found == {("tampered", "pretrain/folk-s0/record.json"): OF_FOLK}


def test_an_edited_record_that_nothing_reads_is_named_by_the_cells_made_from_it(study):
    path = TINY / "segment/folk-s0/upernet/record.json"
    edit(path, lambda record: record.update(seconds=1.0), new_id=True)

    assert wrong(audit()) == {
        ("tampered", "segment/folk-s0/upernet/record.json"): {"main/folk/miou"}
    }


def test_a_deleted_record_of_a_failed_run_is_named_by_the_seal(study):
    with pytest.raises(RuntimeError), opened("pretrain", "folk-s0", study="tiny"):
        raise RuntimeError("diverged")
    report()
    (record,) = TINY.glob("failed/pretrain/folk-s0/record-*.failed.json")
    honest = audit()
    assert wrong(honest) == {}
    (line,) = said(honest, "failed")
    assert "RuntimeError: diverged" in line
    assert "a later start finished it" in line

    record.unlink()

    assert wrong(audit()) == {("missing", record.relative_to(TINY).as_posix()): OF_FOLK}


@fault(
    "Bytes",
    "a flipped bit in a shard",
    "`verify` names the shard and every cell that rests on it",
)
@pytest.mark.parametrize("along", [False, True])
def test_a_changed_image_in_a_shard_is_named(study, along):
    folder = TINY / "prepare/scenes"
    shard = folder / "shards/val-00000.arrow"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    before = hashlib.sha256(shard.read_bytes()).hexdigest()
    shard.write_bytes(content)
    if along:
        after = hashlib.sha256(content).hexdigest()
        replace_in(folder / "dataset.json", before, after)

    found = wrong(audit())

    expected = {
        ("tampered", "prepare/scenes/shards/val-00000.arrow"): OF_FOLK | OF_SCRATCH | OF_COST
    }
    if along:
        expected["tampered", "prepare/scenes/dataset.json"] = OF_FOLK | OF_SCRATCH | OF_COST
    assert found == expected


def test_a_published_number_that_was_changed_is_named(study):
    replace_in(
        STUDY, "pgd: {label: PGD, evaluation: robust, metric: top1_pgd}",
        "pgd: {label: PGD, evaluation: robust, metric: top1_pgd}\n"
        "    published: {folk/full: folk-t1-folk-300-vitb}",
    )  # fmt: skip
    report()
    assert wrong(audit()) == {}
    numbers = numbers_file(PUBLISHED)
    (row,) = re.findall("^folk-t1-folk-300-vitb,.*", numbers.read_text(), re.MULTILINE)
    replace_in(numbers, row, row.replace("83.4,83.4", "84.4,84.4"))

    found = wrong(audit())

    assert found["stale", "config/published/numbers.csv"] == {"main/folk/full"}
    assert {word for word, _ in found} == {"stale"}


def test_a_recipe_that_was_edited_after_the_run_is_named(study):
    replace_in(Path("config/recipes/segment/demo.yaml"), "power: 1.0", "power: 0.9")

    found = audit()

    assert wrong(found) == {
        ("stale", f"segment/{row}-s0/upernet/record.json"): {f"main/{row}/miou"}
        for row in ("folk", "scratch")
    }
    assert "optim.power was 1.0, is 0.9" in said(found, "stale")[0]


def test_a_value_of_the_study_that_was_edited_after_the_run_is_named(study):
    replace_in(STUDY, "optim.warmup_epochs: 0.5", "optim.warmup_epochs: 0.25")

    found = wrong(audit())

    measured = {"cost/folk/flops", "cost/folk/speed"}  # of the row's recipe
    assert found == {("tampered", "study.yaml"): OF_FOLK | measured}


def test_a_result_of_uncommitted_code_is_named_and_its_changes_must_be_there(study):
    git("init", "-q")
    Path(".gitignore").write_text("results/\n.snakemake/\n__pycache__/\n")
    git("add", ".")
    git("commit", "-qm", "all of it")
    replace_in(Path("folk/stages/tasks/segment.py"), '"""', '"""Tried: ')
    record = TINY / "segment/folk-s0/upernet/record.json"
    again(record)
    report()
    diff = record.with_name("uncommitted.diff")

    found = audit()

    assert wrong(found) == {}
    (line,) = [x for x in said(found, "ok") if f"{record} was made with uncommitted" in x]
    assert line.startswith(f"{diff}: {record} was made with uncommitted changes of commit ")
    (finding,) = [f for f in found.findings if f.place == diff.as_posix()]
    assert finding.cells == ("main/folk/miou",)

    replace_in(diff, "Tried", "Meant")
    subject = Subject(load_study(STUDY, STAGES), STUDY, TINY, PUBLISHED, {})
    (lie,) = [found for found in check_uncommitted(subject) if found.place == diff.as_posix()]
    assert (lie.word, lie.cells) == ("tampered", ("main/folk/miou",))
    diff.unlink()
    assert wrong(audit()) == {
        ("missing", "segment/folk-s0/upernet/uncommitted.diff"): {"main/folk/miou"}
    }


def test_a_comment_that_was_committed_is_behind(study):
    git("init", "-q")
    Path(".gitignore").write_text("results/\n.snakemake/\n__pycache__/\n")
    git("add", ".")
    git("commit", "-qm", "all of it")
    head = git("rev-parse", "HEAD").strip()
    path = TINY / "segment/folk-s0/upernet/record.json"
    edit(path, lambda r: r["code"].update(commit=head, dirty=False), new_id=True)
    report()
    assert said(audit(), "behind") == []

    replace_in(
        Path("folk/stages/tasks/probe.py"), "    linear = recipe", "    # why\n    linear = recipe"
    )
    git("commit", "-qam", "say why")
    found = audit()

    assert wrong(found) == {}
    (line,) = said(found, "behind")
    assert f"1 results made at commit {head[:12]}; since then folk/stages/tasks/probe.py" in line
    assert study.run("-m", "folk", "verify", STUDY.as_posix()).returncode == 0


def test_foreign_files_and_runs_that_nobody_asks_for_are_named(study):
    (TINY / "tables/better.md").write_text("| FOLK | 99.9 |")
    replace_in(STUDY, "  upernet:\n    stage: segment", "  other:\n    stage: segment")
    replace_in(STUDY, "evaluation: upernet", "evaluation: other")

    found = wrong(audit())

    assert found["foreign", "tables/better.md"] == set()
    assert ("foreign", "segment/folk-s0/upernet/record.json") in found
    assert found["missing", "segment/folk-s0/other/record.json"] == {"main/folk/miou"}


def test_results_that_came_by_pull_are_said_to_be_adopted(study):
    record = TINY / "pretrain/folk-s0/record.json"
    entry = {"path": record.as_posix(), "id": json.loads(record.read_text())["id"]}
    (TINY / "adopted.json").write_text(json.dumps({"records": [entry]}))

    found = audit()

    assert wrong(found) == {}
    assert said(found, "adopted") == ["results/tiny/adopted.json: 1 of 17 results came by pull"]


def test_a_sample_says_what_it_did_not_read(study, monkeypatch):
    monkeypatch.setattr("folk.evidence.audit.checks.files.SMALL_BYTES", 400_000)
    encoder = TINY / "pretrain/folk-s0/encoder.safetensors"
    large = {p.as_posix() for p in [*TINY.rglob("*.safetensors"), TINY / "report.html"]}

    subject = Subject(load_study(STUDY, STAGES), STUDY, TINY, PUBLISHED, {})
    one, same, other = (check_files(subject, Sample(2, seed)) for seed in (0, 0, 1))

    assert len(one.not_read) == len(large) - 2 == 6
    assert set(one.not_read) < large
    assert one.not_read == same.not_read != other.not_read
    encoder.write_bytes(encoder.read_bytes() + b"x")
    assert ("tampered", "pretrain/folk-s0/encoder.safetensors") in wrong(audit(sample=Sample(0, 0)))


def test_dvc_that_keeps_other_bytes_is_named(study):
    path = TINY / "probe/folk-s0/frozen/metrics.json"
    lock = {"stages": {"reproduce@tiny": {"outs": [{"path": path.as_posix(), "md5": "0" * 32}]}}}
    Path("dvc.lock").write_text(json.dumps(lock))

    reached = {f"main/folk/{column}" for column in ("knn", "linear", "kshot")}
    assert wrong(audit()) == {("stale", "dvc.lock"): reached}


def test_an_evaluation_that_is_run_again_gives_the_same_bits(study):
    found = audit(deep=["main/folk/miou"])

    assert wrong(found) == {}
    assert said(found, "ok")[-1].endswith("run again: predictions are the same bit by bit")


def test_a_study_file_edited_after_the_run_is_no_finding_but_said_to_differ(study):
    study.edit("config/tiny.yaml", "optim.warmup_epochs: 0.5", "optim.warmup_epochs: 0.25")

    done = study.run("-m", "folk", "verify", "config/tiny.yaml")

    assert done.returncode == 0, done.stdout
    assert done.stderr.splitlines() == [
        "config/tiny.yaml: not the study that ran, differs in "
        "encoders.folk.set.optim.warmup_epochs; results/tiny/study.yaml is read"
    ]


def test_the_command_ends_with_one_for_findings_and_imports_neither_torch_nor_mlflow(study):
    code = (
        "import sys; sys.argv = ['folk', 'verify', 'config/tiny.yaml', '--json']\n"
        "from folk.cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: status = end.code\n"
        "print(status, [m for m in ('torch', 'mlflow') if m in sys.modules], file=sys.stderr)"
    )
    (TINY / "split/few/keys.parquet").unlink()

    done = study.run("-c", code)

    assert done.stderr.splitlines()[-1] == "1 []"
    said = json.loads(done.stdout)
    assert [f["word"] for f in said["findings"] if f["wrong"]] == ["missing"]
    assert said["cells"]["main/folk/avg"] == ["missing"]
    assert study.run("-m", "folk", "verify", "config/none.yaml").returncode == 2


def report(sealed: bool = True) -> None:
    """Render, and seal as the end of a run does."""
    command = [sys.executable, "-m", "folk", "report", STUDY.as_posix()]
    subprocess.run(command, check=True, capture_output=True)
    if sealed:
        seal()


def again(record: Path) -> None:
    command = json.loads(record.read_text())["argv"][1:]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
