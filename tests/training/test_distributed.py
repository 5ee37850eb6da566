"""A process knows what it can do together with the others of its job."""

import pytest
import torch

from folk.training.distributed import World


@pytest.mark.parametrize(
    ("size", "device", "can"),
    [(1, "cpu", False), (2, "cpu", False), (1, "cuda", False), (2, "cuda", True)],
)
def test_batch_norm_is_shared_by_several_processes_on_gpus_alone(size, device, can):
    assert World(0, size, torch.device(device)).can_synchronize_batch_norm is can
