"""A process knows what it can do together with the others of its job."""

import json
import subprocess
import sys

import pytest
import torch

from folk.training.distributed import World


@pytest.mark.parametrize(
    ("size", "device", "can"),
    [(1, "cpu", False), (2, "cpu", False), (1, "cuda", False), (2, "cuda", True)],
)
def test_batch_norm_is_shared_by_several_processes_on_gpus_alone(size, device, can):
    assert World(0, size, torch.device(device)).can_synchronize_batch_norm is can


def test_three_processes_share_rows_buffers_and_one_gradient():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "3", "-m", "tests.training.processes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)

    torch.manual_seed(0)
    line = torch.nn.Linear(2, 1)
    line(torch.arange(12.0).view(6, 2)).square().mean().backward()
    weight = (line.weight - 0.1 * line.weight.grad)[0].tolist()
    for answer in answers:
        # The third process has no rows of its own.
        assert answer["rows"] == [[place, place**2] for place in range(7)]
        assert answer["mean"] == [5.0]
        assert answer["weight"] == pytest.approx(weight, rel=1e-5)
    assert len(answers) == 3
