"""What of the watch can be tried without a cluster and without a run of Snakemake."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest
import snakemake_executor_plugin_slurm
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from folk.slurm import watch
from folk.slurm.ending import Watched
from folk.slurm.ledger import Ledger, Submission
from folk.slurm.states import NoAnswerError, Seen
from folk.slurm.watch import Watch, asked_of, digest_of


class File(str):
    """A path as Snakemake gives it."""

    is_ancient = False


class Ancient(File):
    is_ancient = True


def job_of(folder: Path, **changed: Any) -> Any:
    inputs = [folder / "data", folder / "recipe"]
    for path in inputs:
        path.touch()
    values = {
        "rule": Some(name="train", shellcmd="train {params.seed}"),
        "params": ["1", "work"],
        "input": [File(inputs[0]), Ancient(inputs[1])],
        "threads": 1,
    }
    return Some(**(values | changed))


def test_a_digest_tells_what_decides_the_result(tmp_path: Path):
    digest = digest_of(job_of(tmp_path))
    assert digest_of(job_of(tmp_path, params=["2", "work"])) != digest
    assert digest_of(job_of(tmp_path, rule=Some(name="train", shellcmd="other"))) != digest
    (tmp_path / "data").write_text("new")
    assert digest_of(job_of(tmp_path)) != digest


def test_a_digest_ignores_what_decides_nothing(tmp_path: Path):
    job = job_of(tmp_path)
    digest = digest_of(job)
    (tmp_path / "recipe").write_text("reworded")
    assert digest_of(Some(**(vars(job) | {"threads": 8}))) == digest


def test_snakemake_offers_the_watch_and_the_plugin_under_two_names(
    monkeypatch: pytest.MonkeyPatch,
):
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(watch, "Watch", lambda *given: made.append(given))
    registry = ExecutorPluginRegistry()
    registry.get_plugin("folk-slurm").executor("workflow", "logger")
    assert made == [("workflow", "logger")]
    assert registry.get_plugin("slurm").executor is snakemake_executor_plugin_slurm.Executor


def test_a_call_of_snakemake_imports_no_folk_before_its_snakefile(tmp_path: Path):
    (tmp_path / "folk.py").write_text("")  # of the workflow's folder, which must win
    (tmp_path / "Snakefile").write_text("import folk\nprint(folk.__file__)\n")
    command = [Path(sys.executable).with_name("snakemake"), "-n"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(tmp_path / "folk.py") in done.stdout


def test_job_arrays_are_refused():
    executor = object.__new__(Watch)
    executor.workflow = Some(executor_settings=Some(array_jobs="all"))
    with pytest.raises(WorkflowError, match="--folk-slurm-array-jobs: not supported"):
        executor.__post_init__()


def test_a_job_is_told_its_resources_as_they_were_when_it_was_submitted():
    given = {
        "_nodes": Some(raw=1),
        "runtime": Some(raw=None),  # of a function
        "constraint": Some(raw="a100&nvlink"),
        "gpu": Some(raw=0),
        "tmpdir": Some(raw="system_tmpdir"),  # known on the node only
    }
    values = {"_nodes": 1, "runtime": 20, "constraint": "a100&nvlink", "gpu": 0, "mem": "1 GB"}
    job = Some(rule=Some(name="train", resources=given), resources=values)
    assert asked_of(job) == [
        "train:runtime=20",
        "train:constraint='a100&nvlink'",
        "train:gpu=0",
        "train:tmpdir=system_tmpdir",
    ]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """A watch of two jobs that were submitted long ago, without anything around it."""
    monkeypatch.chdir(tmp_path)
    made = object.__new__(Watch)
    made.logger = logging.getLogger("test")
    made._silent_since = None
    made._leaving = False
    made._begun = {}
    made._ledger = Ledger(tmp_path / "ledger")
    made.run_uuid = "run"
    made.slurm_logdir = tmp_path / "logs"
    made.workflow = Some(
        executor_settings=Some(init_seconds_before_status_checks=0, keep_successful_logs=True),
        remote_execution_settings=Some(seconds_between_status_checks=0),
    )
    submissions = [
        Submission(
            job=number, name="run", rule="train", wildcards="", outputs={}, log=f"{number}.log",
            work=None, step=0, submitted="2026-01-01T00:00:00+00:00",
        )
        for number in ("1", "2")
    ]  # fmt: skip
    made._watched = {submission.job: Watched(submission) for submission in submissions}
    return made


def look(driver: Watch) -> list[str]:
    """The jobs that are waited for after a look."""
    active = [Some(job=number, external_jobid=number) for number in ("1", "2")]

    async def listed() -> list[str]:
        return [info.job async for info in driver.check_active_jobs(active)]

    return asyncio.run(listed())


def test_a_controller_that_is_away_costs_no_job(
    driver: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def away() -> dict[str, Seen]:
        raise NoAnswerError("squeue: Unable to contact slurm controller")

    running = {number: Seen("RUNNING", "run") for number in ("1", "2")}
    monkeypatch.setattr(watch, "in_queue", away)
    for _ in range(20):
        assert look(driver) == ["1", "2"]
    monkeypatch.setattr(watch, "in_queue", lambda: running)
    assert look(driver) == ["1", "2"]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "waited for until SLURM answers again" in said[0]
    assert "SLURM answers again" in said[1]


def test_accounting_is_asked_only_about_what_squeue_forgot(
    driver: Watch, monkeypatch: pytest.MonkeyPatch
):
    asked: list[list[str]] = []
    finished: list[str] = []

    def in_accounts(jobs: list[str]) -> dict[str, Seen]:
        asked.append(list(jobs))
        return {"2": Seen("COMPLETED", "run")}

    async def never(_job: str) -> bool:
        return False

    monkeypatch.setattr(watch, "in_queue", lambda: {"1": Seen("RUNNING", "run")})
    monkeypatch.setattr(watch, "in_accounts", in_accounts)
    monkeypatch.setattr(driver, "_is_made", never)
    monkeypatch.setattr(driver, "report_job_success", lambda info: finished.append(info.job))
    assert look(driver) == ["1"]
    assert asked == [["2"]]
    assert finished == ["2"]


NOBODY = "SLURM sbatch failed. The error message was 'Unable to contact slurm controller'"


class Submitted:
    """A job of Snakemake, as far as its submission goes."""

    name, wildcards = "train", ("folk-s0",)

    def is_group(self) -> bool:
        return False


@pytest.mark.parametrize("heard", [True, False])
def test_an_sbatch_that_timed_out_is_tried_again_only_if_nobody_heard_it(
    driver: Watch, monkeypatch: pytest.MonkeyPatch, heard: bool
):
    answers: list[dict[str, Seen] | None] = [
        None,
        {"9": Seen("PENDING", "run", "/w", "rule_train_wildcards_folk-s0")} if heard else {},
    ]

    def in_queue() -> dict[str, Seen]:
        answer = answers.pop(0)
        if answer is None:
            raise NoAnswerError("squeue: Unable to contact slurm controller")
        return answer

    job, again, noted = Submitted(), [], []
    driver._begun[job] = driver._watched["1"].submission
    monkeypatch.setattr(watch, "in_queue", in_queue)
    monkeypatch.setattr(driver, "run_job", again.append)
    monkeypatch.setattr(
        driver, "_report_job_submission_threadsafe", lambda info: noted.append(info.external_jobid)
    )
    driver._report_job_error_threadsafe(Some(job=job), NOBODY)
    assert (again, noted) == (([], ["9"]) if heard else ([job], []))


def test_a_job_that_cannot_be_submitted_fails_with_the_reason(
    driver: Watch, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []

    def broken(_job: object) -> None:
        raise PermissionError("work/progress.json")

    monkeypatch.setattr(driver, "_submit", broken)
    monkeypatch.setattr(driver, "_refuse", lambda _job, reason: said.append(reason))
    driver.run_job(Submitted())
    assert said == ["PermissionError: work/progress.json"]
