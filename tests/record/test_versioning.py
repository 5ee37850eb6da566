"""DVC and the records name the same bytes, and the workflow does not notice that DVC was there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from folk.evidence.adapters.dvc_stage import commit_to_dvc, write_metrics_summary
from folk.evidence.core.errors import InputError
from folk.stages.table import STAGES
from tests.toy import do, git

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DATA = Path("results/demo/prepare/scenes")
STAGE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["reproduce"]
OUTPUTS = [next(iter(output)) for output in STAGE["outs"]]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dvc(*arguments):
    return run(sys.executable, "-m", "dvc", *arguments)


@pytest.fixture
def study(here, monkeypatch):
    """A repository with this project's dvc.yaml and a study that has one recorded result."""
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    monkeypatch.delenv("DVC_STAGE", raising=False)
    for name in ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (here / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, here / name)
    inputs = [path.replace("${item.study}", "demo") for path in STAGE["deps"]]
    for path in inputs:
        is_file = Path(path).suffix or path == "Snakefile"
        name = path if is_file else f"{path}/a.py"
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    (here / ".gitignore").write_text("/results/demo/\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    for output in OUTPUTS:
        path = here / output.replace("${item.study}", "demo")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_text(path.name)
        else:
            path.mkdir()
            (path / "a.txt").write_text(path.name)
    do("prepare", "scenes", {"dataset.json": '{"format": 1}'})
    folder = here / "results/demo/finetune/folk-s0/few"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"top1_last": 0.5, "seconds": 12}')
    return here


def test_a_sealed_study_leaves_nothing_to_do_and_only_the_lock_to_commit(study):
    times = {path: path.stat().st_mtime_ns for path in (study / "results").rglob("*")}

    report = commit_to_dvc(study, "demo", STAGES)

    assert (report.status, report.compared, report.problems) == ("committed", 1, [])
    assert git("status", "--porcelain").split() == ["??", "dvc.lock"]
    assert "up to date" in dvc("status")
    assert {path: path.stat().st_mtime_ns for path in times if path.is_file()} == {
        path: time for path, time in times.items() if path.is_file()
    }
    assert "didn't change, skipping" in dvc("repro")
    shown = dvc("metrics", "show").split()
    assert "few.top1_last" in shown
    assert "few.seconds" not in shown


def test_a_clone_with_the_lock_pulls_the_bytes_back(study, tmp_path_factory, monkeypatch):
    away = tmp_path_factory.mktemp("away")
    commit_to_dvc(study, "demo", STAGES)
    git("add", "dvc.lock")
    git("commit", "-qm", "sealed")
    dvc("remote", "add", "--local", "--default", "store", str(away / "store"))
    dvc("push")
    git("clone", "-q", str(study), str(away / "clone"))
    monkeypatch.chdir(away / "clone")
    dvc("remote", "add", "--local", "--default", "store", str(away / "store"))

    dvc("pull")

    for name in (DATA / "dataset.json", DATA / "record.json", Path("results/demo/report.html")):
        assert name.read_bytes() == (study / name).read_bytes()
    assert git("status", "--porcelain") == ""
    assert not Path("results/demo/work").exists()


def test_a_file_that_changed_after_its_job_is_named(study):
    (study / DATA / "dataset.json").write_text('{"format": 2}')

    with pytest.raises(InputError, match=r"scenes/dataset\.json: expected md5 .*, DVC has"):
        commit_to_dvc(study, "demo", STAGES)


def test_a_recorded_file_that_no_output_holds_is_named(study):
    do("elsewhere", "folk-s0", {"p": "p"}, evaluation="c")

    with pytest.raises(InputError, match=r"elsewhere/folk-s0/c/p: recorded, but in no output"):
        commit_to_dvc(study, "demo", STAGES)


def test_stages_that_a_study_has_nothing_of_are_empty_folders(study):
    for stage in ("robustness", "cost"):
        shutil.rmtree(study / "results/demo" / stage)

    with pytest.raises(InputError, match=r"failed: ERROR: .*does not exist"):
        commit_to_dvc(study, "demo", STAGES, ["cost"])
    report = commit_to_dvc(study, "demo", STAGES, ["cost", "robustness"])

    assert (report.status, report.problems) == ("committed", [])
    assert list((study / "results/demo/cost").iterdir()) == []
    assert "up to date" in dvc("status")


def test_a_missing_result_is_reported_in_the_words_of_dvc(study):
    (study / "results/demo/report.html").unlink()

    with pytest.raises(InputError, match=r"failed: ERROR: .*report\.html' does not exist"):
        commit_to_dvc(study, "demo", STAGES)


def test_the_summary_of_a_run_that_is_gone_is_removed(study):
    stale = study / "results/demo/metrics/old-s0.json"
    stale.parent.mkdir()
    stale.write_text("{}")

    written = write_metrics_summary(study / "results/demo", STAGES)

    assert [path.name for path in written] == ["folk-s0.json"]
    assert not stale.exists()


def test_every_output_of_dvc_is_a_place_that_the_workflow_or_the_seal_writes():
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    hooks = ("study.yaml", "figures", "failed")
    for output in OUTPUTS:
        place = output.replace("results/${item.study}/", "")
        assert f"results/{{study.name}}/{place}" in rules or place in hooks, output
