"""A driver on a real cluster sees every job to an end, and finds it again after its own."""

import signal
from pathlib import Path

import pytest

from tests.faults.table import fault
from tests.slurm.lab import Lab, wait_until
from tests.slurm.small_workflow import SmallWorkflow

LONG = 4000  # ticks: does not end by itself


def test_a_cancelled_job_fails_at_once_and_is_not_submitted_again(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    driver = workflow.start()
    lab.run("scancel", workflow.wait_for_start())
    assert driver.wait(60) == 1
    assert "ended: CANCELLED; it was cancelled" in workflow.said
    assert len(workflow.submitted()) == 1


def test_a_cancelled_job_fails_where_accounting_says_by_whom(
    lab_with_accounting: Lab, tmp_path: Path
):
    lab = lab_with_accounting
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    driver = workflow.start()
    lab.run("scancel", workflow.wait_for_start())
    assert driver.wait(60) == 1
    assert "ended: CANCELLED" in workflow.said


def test_the_executor_of_the_plugin_runs_a_workflow_to_its_end(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, 4)
    polling = ("--slurm-init-seconds-before-status-checks", "3", "--slurm-status-command", "squeue")
    done = workflow.run("--executor", "slurm", *polling)
    assert done.returncode == 0, done.stdout
    assert len(workflow.submitted()) == 1
    assert not (tmp_path / ".snakemake/slurm_jobs").exists()


def test_a_driver_that_was_killed_is_followed_by_one_that_attaches(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    first = workflow.start()
    job = workflow.wait_for_start()
    first.send_signal(signal.SIGKILL)
    first.wait()
    refused = workflow.run()
    assert refused.returncode == 1
    assert "is gone and has left its lock: call snakemake once with --unlock" in refused.stdout
    assert workflow.run("--unlock").returncode == 0

    second = workflow.start()
    waited = f"SLURM job {job} (train a) of an earlier driver is waited for"
    wait_until("the second driver to attach", lambda: waited in workflow.said, 120)
    workflow.plan(0)
    assert second.wait(120) == 0, workflow.said
    assert workflow.submitted() == [job]
    assert len(workflow.starts()) == 1
    assert "Nothing to be done" in workflow.run("-n").stdout


def test_a_job_that_completed_while_no_driver_lived_is_not_run_again(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    first = workflow.start()
    job = workflow.wait_for_start()
    first.send_signal(signal.SIGKILL)
    first.wait()
    workflow.plan(0)
    lab.wait_for_state(job, "COMPLETED")
    workflow.run("--unlock")

    second = workflow.run()
    assert second.returncode == 0, second.stdout
    assert f"SLURM job {job} (train a) of an earlier driver has finished" in second.stdout
    assert workflow.submitted() == [job]
    assert "Nothing to be done" in workflow.run("-n").stdout
    # Snakemake's metadata are kept too: asked for changed parameters, it notices them.
    workflow.write("values", "second")
    planned = workflow.run("--rerun-triggers", "params", "-n")
    assert "Params have changed" in planned.stdout


def test_a_live_job_of_other_values_stands_in_the_way(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    first = workflow.start()
    job = workflow.wait_for_start()
    first.send_signal(signal.SIGKILL)
    first.wait()
    workflow.run("--unlock")
    workflow.write("values", "second")

    second = workflow.run()
    assert second.returncode == 1
    assert (
        f"SLURM job {job} (train a) is in the queue (RUNNING) and makes the same" in second.stdout
    )
    assert f"scancel {job}" in second.stdout
    assert workflow.submitted() == [job]


def test_a_training_takes_as_many_jobs_as_its_time_limit_needs(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    driver = workflow.start("--retries", "0")
    for turn in (1, 2):
        job = workflow.wait_for_start(turn)
        workflow.wait_for_step(workflow.step() + 2)
        lab.run("scontrol", "update", f"jobid={job}", "EndTime=now+1")
        lab.wait_for_state(job, "TIMEOUT")
    workflow.plan(workflow.step() + 8)  # not before: SLURM's clock has no place in this test
    assert driver.wait(120) == 0
    steps = [int(line.split()[1]) for line in workflow.starts()]
    assert len(steps) == 3
    assert steps == sorted(steps)
    assert workflow.said.count("ended: TIMEOUT, at update") == 2


def test_a_training_that_stops_by_plan_goes_on(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, 12)
    workflow.write("stop", "")
    done = workflow.run("--retries", "0")
    assert done.returncode == 0, done.stdout
    assert "ended: FAILED, at update 4 (from 0); it continues in another job" in done.stdout
    assert [line.split()[1] for line in workflow.starts()] == ["0", "4"]


@pytest.mark.usefixtures("hears_ctrl_c")
@fault(
    "Processes",
    "Ctrl-C to a driver on a cluster",
    "its jobs are cancelled; the next call goes on",
    lost="what came after the last checkpoint",
)
def test_an_interrupted_driver_cancels_its_jobs_and_can_be_started_again(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    driver = workflow.start()
    job = workflow.wait_for_start()
    driver.send_signal(signal.SIGINT)
    assert driver.wait(60) == 1
    lab.wait_for_state(job, "CANCELLED")
    workflow.plan(0)
    done = workflow.run()
    assert done.returncode == 0, done.stdout
    assert len(workflow.submitted()) == 2


def test_a_job_that_saves_nothing_is_not_continued(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG, saves=False)
    driver = workflow.start("--retries", "0")
    job = workflow.wait_for_start()
    lab.run("scontrol", "update", f"jobid={job}", "EndTime=now+1")
    assert driver.wait(120) == 1
    assert "ended: TIMEOUT; it reached its time limit before saving anything new" in workflow.said
    assert workflow.submitted() == [job]


@pytest.mark.parametrize(("partition", "jobs"), [("low", 1), ("lowcancel", 2)])
def test_a_preempted_training_goes_on(lab: Lab, tmp_path: Path, partition: str, jobs: int):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    driver = workflow.start("--retries", "0", "--default-resources", f"slurm_partition={partition}")
    workflow.wait_for_start()
    workflow.wait_for_step(2)
    rival = lab.submit("sleep 3", "--partition=high", "--nodes=3", "--exclusive")
    workflow.plan(workflow.step() + 20)
    lab.wait_for_state(rival, "COMPLETED")
    assert driver.wait(120) == 0, workflow.said
    assert len(workflow.submitted()) == jobs
    assert len(workflow.starts()) == 2
    assert int(workflow.starts()[1].split()[1]) >= 2


def test_a_controller_that_is_away_for_a_while_loses_no_job(lab: Lab, tmp_path: Path):
    workflow = SmallWorkflow(lab, tmp_path, LONG)
    driver = workflow.start()
    lab.save_state(workflow.wait_for_start())
    lab.kill("slurmctld")
    wait_until("the driver to notice", lambda: "until SLURM answers again" in workflow.said, 120)
    workflow.plan(0)
    lab.start("slurmctld")
    assert driver.wait(120) == 0
    assert "SLURM answers again" in workflow.said
    assert len(workflow.submitted()) == 1
