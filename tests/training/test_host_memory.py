"""Memory of a training on a CPU: what it freed is there when it asks again."""

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

FAULTS = """
import resource
import torch
from folk.training.distributed import open_world

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 * 2**20 // 4).add(1)  # two blocks above glibc's limit of 32 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{world}
    print([faults() for _ in range(8)][-1])  # the first ones find room
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc; run on a Linux that has it"
)
def test_a_training_on_a_cpu_asks_the_system_for_its_memory_once() -> None:
    without, kept = _faults("if True:"), _faults("with open_world(1):")
    assert kept * 10 < without, "pages that the system handed out for a step that had its memory"


def _faults(world: str) -> int:
    command = [sys.executable, "-c", FAULTS.format(world=world)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
