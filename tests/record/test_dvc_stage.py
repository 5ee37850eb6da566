"""What DVC is asked to keep of a study, and why it may keep nothing."""

import json
import subprocess
from pathlib import Path

import pytest

from folk.evidence.adapters.dvc_stage import VersioningReport, commit_to_dvc, md5_problems
from folk.evidence.core.errors import InputError
from folk.stages.table import STAGES
from tests.faults.parsers import RECORD

RESULTS = Path("results/demo")


def put(place, **changes):
    (RESULTS / place).mkdir(parents=True)
    (RESULTS / place / "record.json").write_text(json.dumps({**RECORD, **changes}))


@pytest.mark.parametrize(
    ("there", "status", "line"),
    [
        ((), "skipped", "DVC: ./.dvc is missing, so no files were kept"),
        ((".dvc",), "skipped", "DVC: . is no git repository, so no files were kept"),
        (
            (".dvc", ".git"),
            "skipped",
            "DVC: no stage for 'demo'; add it to stages.reproduce.matrix.study in dvc.yaml",
        ),
        (
            (".dvc", ".git", "dvc.yaml"),
            "left to dvc repro",
            "DVC: `dvc repro` is running and keeps the files",
        ),
    ],
)
def test_where_dvc_is_not_to_keep_bytes_a_line_says_why(
    here, monkeypatch, capsys, there, status, line
):
    monkeypatch.setenv("DVC_STAGE", "reproduce@demo")
    for name in there:
        if name == "dvc.yaml":
            Path(name).write_text("stages: {reproduce: {matrix: {study: [other, demo]}}}")
        else:
            Path(name).mkdir()

    report = commit_to_dvc(Path(), "demo", STAGES)

    assert (report.status, report.line.replace("DVC: .dvc", "DVC: ./.dvc")) == (status, line)
    assert (report.compared, report.problems) == (0, [])
    assert report.line in capsys.readouterr().err


@pytest.mark.parametrize("place", ["results", "results/demo", "results/demo/pretrain"])
def test_results_behind_a_link_out_of_the_repository_are_not_kept(here, capsys, place):
    """As on a cluster, where results lie on scratch; the study ends well all the same."""
    repository = here / "repository"
    for folder in (".dvc", ".git"):
        (repository / folder).mkdir(parents=True)
    (repository / "dvc.yaml").write_text("stages: {reproduce: {matrix: {study: [demo]}}}")
    (here / "scratch/demo").mkdir(parents=True)
    (repository / place).parent.mkdir(parents=True, exist_ok=True)
    (repository / place).symlink_to(here / "scratch")

    report = commit_to_dvc(repository, "demo", STAGES)

    line = f"DVC: {place} lies outside of the repository, so no bytes were kept"
    assert (report.status, report.line) == ("skipped", line)
    assert capsys.readouterr().err == f"{line}\n"


def test_a_recorded_file_is_held_to_the_md5_that_dvc_keeps(here):
    outputs = [
        {**RECORD["outputs"][0], "path": f"results/demo/a/{name}", "md5": name * 32}
        for name in "abc"
    ]
    put("pretrain/folk-s0", outputs=outputs)
    put("work/pretrain/folk-s0", outputs=[{**outputs[0], "md5": "d" * 32}])
    kept = {"a": "a" * 32, "b": "0" * 32}
    outs = [{"path": f"results/demo/a/{name}", "md5": md5} for name, md5 in kept.items()]
    Path("dvc.lock").write_text(json.dumps({"stages": {"reproduce@demo": {"outs": outs}}}))

    compared, problems = md5_problems(Path(), "demo")

    assert compared == 1
    assert problems == [
        f"results/demo/a/b: expected md5 {'b' * 32} "
        f"(results/demo/pretrain/folk-s0/record.json), DVC has {'0' * 32}; "
        "the file changed after its job ended; run that job again",
        "results/demo/a/c: recorded, but in no output of dvc.yaml; add it there",
    ]


@pytest.fixture
def answered(here, monkeypatch):
    """DVC as it answers a commit, and what a comparison of md5 then finds."""

    def answer(status, says, found=(0, [])):
        done = subprocess.CompletedProcess([], status, "", says)
        monkeypatch.delenv("DVC_STAGE", raising=False)
        monkeypatch.setattr("folk.evidence.adapters.dvc_stage._dvc", lambda *_: done)
        monkeypatch.setattr("folk.evidence.adapters.dvc_stage.md5_problems", lambda *_: found)
        for folder in (".dvc", ".git"):
            Path(folder).mkdir()
        Path("dvc.yaml").write_text("stages: {reproduce: {matrix: {study: [demo]}}}")

    return answer


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("warning\nERROR: no output\nsee the log\n", "ERROR: no output"),
        ("warning\nsomething else\n\n", "something else"),
        ("\n", "no reason"),
    ],
)
def test_what_dvc_says_of_a_commit_that_failed_is_told_in_one_line(answered, says, reason):
    answered(1, says)

    with pytest.raises(InputError) as refused:
        commit_to_dvc(Path(), "demo", STAGES)

    assert str(refused.value) == f"DVC: `dvc commit` of results/demo failed: {reason}"


def test_a_commit_says_how_many_files_agree(answered, capsys):
    answered(0, "", (3, []))

    report = commit_to_dvc(Path(), "demo", STAGES)

    line = "DVC: 3 recorded files kept in dvc.lock, same md5 as the records"
    assert report == VersioningReport("committed", line, 3, [])
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(("count", "last"), [(5, "file 4"), (7, "... and 2 more")])
def test_of_files_that_do_not_agree_the_first_five_are_shown(answered, capsys, count, last):
    lines = [f"file {number}" for number in range(count)]
    answered(0, "", (3, lines))

    with pytest.raises(InputError) as refused:
        commit_to_dvc(Path(), "demo", STAGES, unused_stages=["segment"])

    assert str(refused.value).splitlines() == [*lines[:5], *([last] if count > 5 else [])]
    assert capsys.readouterr().err == f"DVC: {count} of {count + 3} recorded files differ\n"
    assert (RESULTS / "segment").is_dir()
    assert (RESULTS / "failed").is_dir()
