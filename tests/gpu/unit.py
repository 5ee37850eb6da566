"""Part a: the tests marked `gpu`."""

import re
import subprocess
import sys
from typing import Any

from tests.gpu.check import Check


def run(check: Check) -> dict[str, Any]:
    """Run them in a process of their own.

    Raises:
        AssertionError: one failed, or none was run on a GPU.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider",
               "tests/gpu/test_on_gpu.py", "tests/stages/test_neighbors.py"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-300:]]
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-40:]) + done.stderr[-500:]
    passed = re.search(r"(\d+) passed", last[0])
    if check.device.type == "cuda":
        assert passed is not None, last[0]
        assert int(passed[1]) > 0, last[0]
    return {"pytest": last[0]}
