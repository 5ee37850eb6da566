"""FLOPs, memory and seconds of a computation."""

import contextlib
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_flops(run: Callable[[], object]) -> int:
    """Count floating-point operations of matrix products and convolutions; a multiply-add is two.

    FFTs and element-wise work are not counted. Attention is counted as its plain matrix products,
    so the number is the same on every device and for every fused kernel.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Measure the wall-clock seconds of a computation, its work on the device included.

    Args:
        device: synchronized before the clock starts and before it stops.
    """
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


class PeakMemory:
    """Peak memory since this was created, in bytes.

    On a GPU that is what torch had allocated there at once, weights included
    (`torch.cuda.max_memory_allocated`). On a CPU it is the growth of the resident set of this
    process at its peak; pages that were free before are not counted, so small amounts read as 0.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            # Linux resets the high-water mark on request; otherwise earlier peaks hide later ones.
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            self._before = _highest_resident()

    @property
    def kind(self) -> str:
        """Name of the measured quantity."""
        cuda = self._device.type == "cuda"
        return "torch.cuda.max_memory_allocated" if cuda else "growth of the resident set"

    def bytes(self) -> int:
        """The peak so far."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return max(0, _highest_resident() - self._before)


def _highest_resident() -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
