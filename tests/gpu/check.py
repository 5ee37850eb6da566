"""What each part of the GPU check is given."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Check:
    """How a part is to be run.

    Attributes:
        device: what is checked against the CPU.
        tiny: toy sizes, for a test of the script itself.
        data: folder with the four files of Fashion-MNIST.
        deadline: in time.monotonic(); a part starts nothing long after it.
    """

    device: torch.device
    tiny: bool
    data: Path
    deadline: float

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()


class NotRunError(Exception):
    """Why a part was not run; it is no failure."""
