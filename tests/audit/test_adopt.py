"""What was pulled is adopted only if every byte is as recorded; its times then follow the chain."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from folk.cli.app import app
from folk.evidence.audit.adopt import adopt
from folk.evidence.audit.seal import write_seal
from folk.evidence.core.errors import InputError
from folk.evidence.record.adopted import read_adopted
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.faults.table import fault
from tests.toy import do

RESULTS = Path("results/demo")
ENCODER = RESULTS / "pretrain/folk-s0/encoder.safetensors"
PREDICTIONS = RESULTS / "finetune/folk-s0/full/predictions.parquet"


@pytest.fixture
def pulled(finished):
    """The study as a pull leaves it: no work folder, times in any order."""
    write_seal(load_study(Path("config/demo.yaml"), STAGES), Path("config/demo.yaml"), RESULTS)
    for path in sorted((RESULTS / "work").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for number, path in enumerate(sorted(RESULTS.rglob("*"))):
        os.utime(path, (2e9 - 60 * number, 2e9 - 60 * number))
    return finished


def take():
    return adopt("demo", RESULTS, ["adopt"])


def times():
    return {path: path.stat().st_mtime_ns for path in RESULTS.rglob("*")}


def test_pulled_results_are_noted_and_makers_get_older_than_readers(pulled):
    done = take()

    assert (done.adopted, done.computed_here, done.files, done.sealed) == (3, 0, 3, True)
    said = json.loads((RESULTS / "adopted.json").read_text())
    assert [entry["path"] for entry in said["records"]] == [
        f"{RESULTS}/{place}/record.json"
        for place in ("prepare/scenes", "pretrain/folk-s0", "finetune/folk-s0/full")
    ]
    assert said["argv"] == ["adopt"]
    data, later = RESULTS / "prepare/scenes", RESULTS / "cells.parquet"
    chain = [data / "dataset.json", ENCODER, PREDICTIONS, later]
    stamps = [path.stat().st_mtime_ns for path in chain]
    assert stamps == sorted(set(stamps))
    assert stamps[3] < time.time_ns() + 60e9  # not the time of the checkout


def test_a_second_time_changes_nothing(pulled):
    take()
    before, note = times(), (RESULTS / "adopted.json").read_bytes()

    take()

    assert times() == before
    assert (RESULTS / "adopted.json").read_bytes() == note


def test_a_job_that_ran_here_stays_computed_here(pulled):
    take()
    do("finetune", "folk-s0", {"predictions.parquet": "new"}, {"encoder": ENCODER}, "full")
    before = times()

    done = take()

    assert (done.adopted, done.computed_here) == (2, 1)
    later = [PREDICTIONS, RESULTS / "cells.parquet"]  # made here; tables are to be made again
    assert [times()[path] for path in later] == [before[path] for path in later]
    assert PREDICTIONS.with_name("record.json").as_posix() not in read_adopted(RESULTS)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        pytest.param(lambda: ENCODER.write_text("weightS"), "encoder.safetensors: sha256 is",
            marks=fault("Services", "a DVC remote with other bytes than the results had",
                        "`folk adopt` names the file and touches nothing")),
        (lambda: ENCODER.write_text("weight"), "encoder.safetensors: size is 6"),
        pytest.param(lambda: PREDICTIONS.unlink(), "predictions.parquet: missing, .* `dvc pull`",
            marks=fault("Services", "a DVC remote to which only a part was pushed",
                        "`folk adopt` names what is missing and touches nothing")),
        (lambda: ENCODER.with_name("record.json").unlink(), "missing record .* that made it"),
        (lambda: PREDICTIONS.with_name("record.json").unlink(), "record.json: sealed, but"),
        (
            lambda: PREDICTIONS.with_name("record.json").write_text("{"),
            "record.json: invalid JSON",
        ),
        (lambda: next(RESULTS.glob("failed/*/*/*.json")).unlink(), "failed.json: sealed, but"),
        (lambda: (RESULTS / "tables/main.md").write_text("9"), "main.md: other bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_a_line_and_nothing_is_touched(pulled, spoil, line):
    spoil()
    before = times()

    done = CliRunner().invoke(app, ["adopt", "config/demo.yaml"])

    assert done.exit_code == 1
    with pytest.raises(InputError, match=line):
        take()
    assert times() == before


def test_before_a_pull_one_line_says_what_to_do(pulled):
    seal = (RESULTS / "seal.json").read_text()
    shutil.rmtree(RESULTS)
    RESULTS.mkdir()
    (RESULTS / "seal.json").write_text(seal)  # all that a clone has

    with pytest.raises(InputError) as refused:
        take()

    assert str(refused.value) == f"{RESULTS}: no records; get the results with `dvc pull` first"


def test_a_cache_that_files_are_links_to_serves_several_jobs_and_studies(pulled, tmp_path):
    """Snakemake takes the later time of a link and its target, so a target is never later."""
    files = [path for path in RESULTS.rglob("*") if path.is_file() and path.name != "seal.json"]
    for path in files:
        cached = tmp_path / "cache" / hashlib.sha256(path.read_bytes()).hexdigest()
        cached.parent.mkdir(exist_ok=True)
        path.rename(cached)  # of equal files the last one
        path.symlink_to(cached)

    take()

    recorded = [path for path in files if "failed" not in path.parts and path.name != "main.md"]
    recorded.remove(RESULTS / "cells.parquet")  # in no record of this study
    late = [path for path in recorded if path.stat().st_mtime_ns > path.lstat().st_mtime_ns]
    assert (len(recorded), late) == (6, [])

    of_another_study = ENCODER.resolve()
    os.utime(of_another_study, (1, 1))
    take()
    assert of_another_study.stat().st_mtime == 1


def test_an_edited_study_file_does_not_keep_results_from_being_adopted(pulled):
    with Path("config/demo.yaml").open("a") as file:
        file.write("# a remark\n")

    assert take().adopted == 3


@fault("Services", "a DVC remote that is missing, so that nothing was pulled",
       "`folk adopt` says what to do first")  # fmt: skip
def test_a_study_without_results_says_where_they_come_from(pulled):
    with pytest.raises(InputError, match="`dvc pull`"):
        adopt("demo", Path("results/other"), [])


def test_a_note_that_is_none_is_refused(pulled):
    (RESULTS / "adopted.json").write_text('{"records": 3}')

    with pytest.raises(
        InputError, match=r"adopted\.json: .*run `?adopt`? again|not what `adopt` writes"
    ):
        read_adopted(RESULTS)
