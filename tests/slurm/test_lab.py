"""The cluster of the tests is a real one: it queues, places and accounts."""

import pytest

from tests.slurm.lab import Lab
from tests.slurm.lab_files import GPUS_OF_A_NODE, NODES


def test_three_nodes_with_gpus_are_idle(lab: Lab):
    lines = lab.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %G %t").splitlines()
    assert lines == [f"{node} gpu:{GPUS_OF_A_NODE} idle" for node in NODES]


def test_a_job_gets_the_gpu_that_it_asked_for(lab: Lab):
    job = lab.submit("echo gpu $CUDA_VISIBLE_DEVICES on $SLURMD_NODENAME", "--gres=gpu:1")
    lab.wait_for_state(job, "COMPLETED")
    assert lab.output(job) == "gpu 0 on node1\n"


def test_more_gpus_than_a_node_has_are_refused(lab: Lab):
    with pytest.raises(AssertionError, match="Requested node configuration is not available"):
        lab.submit("true", f"--gres=gpu:{GPUS_OF_A_NODE + 1}")


def test_a_step_on_two_nodes_knows_both(lab: Lab):
    step = "srun -N2 -n2 --ntasks-per-node=1 sh -c 'echo $SLURM_PROCID $SLURMD_NODENAME'"
    job = lab.submit(step, "--nodes=2", "--ntasks=2")
    lab.wait_for_state(job, "COMPLETED", "FAILED")
    assert sorted(lab.output(job).splitlines()) == ["0 node1", "1 node2"]


def test_a_killed_node_and_a_killed_controller_come_back(lab: Lab):
    lab.kill("node3")
    lab.kill("slurmctld")
    lab.repair()
    job = lab.submit("true", "--nodelist=node3")
    lab.wait_for_state(job, "COMPLETED")


def test_accounting_knows_a_failed_job(lab_with_accounting: Lab):
    job = lab_with_accounting.submit("exit 7", "--account=lab")
    lab_with_accounting.wait_for_state(job, "FAILED")
    asked = ["sacct", "-X", "-n", "-P", "-o", "State,ExitCode,Account", "-j", job]
    lab_with_accounting.wait_for(asked, "FAILED|7:0|lab")
