"""What a training on a cluster comes through: it ends with the encoder of one left alone.

Every test says what happens to the job, how many jobs that makes, and how the driver ends. All run
with `--retries 0` unless they are about a retry: what is no failure must not cost one.
"""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from folk.evidence.core.digest import digest_file
from tests.faults.table import fault
from tests.slurm.driver import MINUTES
from tests.slurm.faulty import (
    CHECKPOINT_SECONDS,
    RESULT,
    Training,
    checkpoint_age,
    make_it_long,
    training,
)
from tests.slurm.lab import Lab, wait_until
from tests.slurm.lab_files import CPUS_OF_A_NODE
from tests.workflow.conftest import Copy, copy_repository

pytestmark = pytest.mark.timeout(20 * MINUTES)

MIDDLE = 20  # updates, of 480
SLOW_MACHINE = 10.0  # seconds that an update or a checkpoint may take where other tests run
NO_RETRIES = ("--retries", "0")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy in which the training has been left alone, on this machine and without a cluster."""
    copy = copy_repository(tmp_path_factory.mktemp("undisturbed"))
    make_it_long(copy)
    done = copy.snakemake("--no-hooks", str(RESULT / "encoder.safetensors"))
    assert done.returncode == 0, done.stderr
    return copy


@pytest.fixture(scope="module")
def expected(undisturbed: Copy) -> str:
    """The digest of its encoder."""
    return digest_file(undisturbed.folder / RESULT / "encoder.safetensors").sha256


@pytest.fixture
def folder(undisturbed: Copy, tmp_path: Path) -> Path:
    """A copy with prepared images, in which nothing was trained."""
    shutil.copytree(undisturbed.folder, tmp_path / "copy", copy_function=shutil.copy2)
    shutil.rmtree(tmp_path / "copy" / RESULT)
    shutil.rmtree(tmp_path / "copy/results/tiny/work")
    return tmp_path / "copy"


@contextmanager
def resource_hog(lab: Lab, node: str, partition: str = "high") -> Iterator[str]:
    """A job that takes a whole node, of a partition before which others must give way."""
    where = (f"--partition={partition}", f"--nodelist={node}", f"--cpus-per-task={CPUS_OF_A_NODE}")
    job = lab.submit("sleep 600", *where)
    lab.wait_for_state(job, "RUNNING")
    try:
        yield job
    finally:
        lab.run("scancel", job)


def is_the_same(run: Training, expected: str, least: int) -> None:
    """The training went on where it was and ended with the encoder of one left alone."""
    restarts = run.record()["restarts"]
    assert restarts, run.said()
    assert restarts[0]["last_step"] >= least
    assert run.digest() == expected


@fault(
    "Processes",
    "SLURM's time limit in mid-training",
    "the job is submitted again without costing a retry, and ends with the same encoder",
    lost="what came after the last checkpoint",
)
def test_a_time_limit_in_mid_training(lab: Lab, folder, expected):
    with training(lab, folder, *NO_RETRIES) as run:
        step = run.wait_for_step(MIDDLE)
        assert checkpoint_age(run) < CHECKPOINT_SECONDS + SLOW_MACHINE
        run.hold()
        lab.run("scontrol", "update", f"jobid={run.job()}", "EndTime=now+1")
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        first, second = run.submitted()
        assert (lab.state(first), lab.state(second)) == ("TIMEOUT", "COMPLETED")


@fault(
    "Processes",
    "a job that is requeued by hand",
    "it goes on where it was, with the same encoder at its end",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_a_requeue_by_hand(lab: Lab, folder, expected):
    with training(lab, folder, *NO_RETRIES) as run:
        step = run.wait_for_step(MIDDLE)
        lab.run("scontrol", "requeue", run.job())
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        assert len(run.submitted()) == 1


@fault(
    "Processes",
    "preemption that requeues the job",
    "it goes on where it was, with the same encoder at its end",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_preemption_that_requeues(lab: Lab, folder, expected):
    low = ("--set-resources", "pretrain:slurm_partition=low")
    with training(lab, folder, *NO_RETRIES, *low) as run:
        step = run.wait_for_step(MIDDLE)
        run.hold()
        with resource_hog(lab, run.node()) as other:
            wait_until("the driver's job to go on", lambda: run.step() > step + MIDDLE, 120)
            assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        assert set(run.submitted()) - {other} == {run.record()["scheduler"]["job_id"]}


@fault(
    "Processes",
    "preemption that cancels the job",
    "it is submitted again without costing a retry",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_preemption_that_cancels(lab: Lab, folder, expected):
    low = ("--set-resources", "pretrain:slurm_partition=lowcancel")
    with training(lab, folder, *NO_RETRIES, *low) as run:
        step = run.wait_for_step(MIDDLE)
        run.hold()
        with resource_hog(lab, run.node()) as other:
            assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        first, second = (job for job in run.submitted() if job != other)
        assert (lab.state(first), lab.state(second)) == ("PREEMPTED", "COMPLETED")


@fault(
    "Processes",
    "`scancel`",
    "the driver says so and ends with status 1; the next call goes on",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_a_cancelled_job_is_a_failure_that_the_next_call_continues(lab: Lab, folder, expected):
    with training(lab, folder, *NO_RETRIES) as run:
        step = run.wait_for_step(MIDDLE)
        lab.run("scancel", run.job())
        assert run.finish() == 1, run.said()
        assert len(run.submitted()) == 1
        assert "CANCELLED" in run.said()

        run.start()
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        assert len(run.submitted()) == 2


@fault(
    "Processes",
    "`kill -9` of a trainer on a cluster",
    "it costs a retry and goes on where it was",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_kill_9_of_the_trainer_costs_a_retry(lab: Lab, folder, expected):
    with training(lab, folder, "--retries", "1") as run:
        step = run.wait_for_step(MIDDLE)
        for process in run.processes():
            os.kill(process, signal.SIGKILL)
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        first, second = run.submitted()
        assert (lab.state(first), lab.state(second)) == ("FAILED", "COMPLETED")


@fault(
    "Processes",
    "a node that is taken down",
    "its job goes on elsewhere",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_a_node_that_is_taken_down(lab: Lab, folder, expected):
    with training(lab, folder, *NO_RETRIES) as run:
        step, node = run.wait_for_step(MIDDLE), run.node()
        lab.set_node(node, "down")
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        assert len(run.submitted()) == 1


@fault(
    "Processes",
    "a node that crashes",
    "its job goes on elsewhere",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_a_node_that_crashes(lab: Lab, folder, expected):
    """Its slurmd and all processes of the job end at once; nobody tells the controller."""
    with training(lab, folder, *NO_RETRIES) as run:
        step, node, job = run.wait_for_step(MIDDLE), run.node(), run.job()
        lab.kill(node)
        lab.kill_processes_of(job)
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        assert run.submitted() == [job]
        assert run.record()["scheduler"]["node"] != node


@fault(
    "Processes",
    "a node that is lost while its job runs on: two trainers of one run",
    "the older one leaves, at the cost of a retry at most",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_a_node_that_is_lost_while_its_job_runs_on(lab: Lab, folder, expected):
    """The controller no longer reaches the node and starts the job elsewhere: two trainers.

    The srun of the lost node, where it still reaches the controller, ends the step of the same
    number on the new one, so a retry may be needed; what was trained is not lost.
    """
    with training(lab, folder, "--retries", "1") as run:
        step, node, job = run.wait_for_step(MIDDLE), run.node(), run.job()
        for process in run.processes():
            os.kill(process, signal.SIGSTOP)  # so that it is still there when the other starts
        lab.kill(node)
        stopped = run.processes()
        wait_until("the job to run elsewhere", lambda: run.step() > step, 180)
        for process in stopped:
            os.kill(process, signal.SIGCONT)
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
        assert run.submitted()[0] == job
        assert len(run.submitted()) <= 2
        steps = [line["step"] for line in run.history() if "loss" in line]
        assert steps == list(range(1, len(steps) + 1))


@fault(
    "Processes",
    "SLURM's controller is away for a while",
    "the driver waits; the job does not notice",
)
@pytest.mark.long
def test_the_controller_is_away_for_a_while(lab: Lab, folder, expected):
    with training(lab, folder, *NO_RETRIES) as run:
        step = run.wait_for_step(MIDDLE)
        lab.save_state(run.job())
        lab.kill("slurmctld")
        wait_until("the training to go on without it", lambda: run.step() > step + 2 * MIDDLE, 120)
        lab.start("slurmctld")
        assert run.finish() == 0, run.said()
        assert run.record()["restarts"] == []
        assert run.digest() == expected
        assert len(run.submitted()) == 1


@fault(
    "Processes",
    "`kill -9` of the driver on a cluster",
    "after `--unlock` the next call takes over the jobs in the queue",
)
def test_a_killed_driver_that_is_started_again_takes_over_its_job(lab: Lab, folder, expected):
    with training(lab, folder, *NO_RETRIES) as run:
        run.wait_for_step(MIDDLE)
        run.driver.kill()
        run.driver.wait()
        run.without_cluster("--unlock")
        run.start()
        assert run.finish() == 0, run.said()
        assert run.record()["restarts"] == []
        assert run.digest() == expected
        assert len(run.submitted()) == 1


@fault(
    "Processes",
    "a job on a cluster that ends while no driver lives",
    "the next call takes its result as it is",
)
@pytest.mark.long
def test_a_job_that_ended_without_a_driver_is_not_run_again(lab: Lab, folder, expected):
    with training(lab, folder, *NO_RETRIES) as run:
        run.wait_for_step(MIDDLE)
        run.driver.kill()
        run.driver.wait()
        (job,) = run.submitted()
        lab.wait_for_state(job, "COMPLETED", seconds=240)
        run.without_cluster("--unlock")
        run.start()
        assert run.finish() == 0, run.said()
        assert run.digest() == expected
        assert run.submitted() == [job]
        assert "Nothing to be done" in run.without_cluster(
            "-n", str(RESULT / "encoder.safetensors")
        )


@fault(
    "Disk",
    "the disk of a cluster fills up while a checkpoint is written",
    "refused; the checkpoint before it stands, and the next call goes on from it",
    lost="what came after the last checkpoint",
)
@pytest.mark.long
def test_a_full_disk_while_a_checkpoint_is_written(lab: Lab, folder, expected):
    """A limit on the size of files stands for the quota: SLURM hands it on to the job."""
    with training(lab, folder, *NO_RETRIES) as run:
        step = run.wait_for_step(MIDDLE)
        run.limit_file_size(1_000_000)
        assert run.finish() == 1, run.said()
        assert len(run.submitted()) == 1
        assert "could not be written (File too large)" in run.said()

        run.start()
        assert run.finish() == 0, run.said()
        is_the_same(run, expected, step)
