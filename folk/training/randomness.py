"""Every random number is a pure function of the run's seed and of what it is for.

Nothing is carried from step to step, so a resumed run draws what the uninterrupted one would have,
and the number of processes does not shift the draws.
"""

import hashlib
import random

import numpy as np
import torch


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed of its own for each purpose.

    Args:
        seed: the run's seed.
        purpose: words and counters that say what the numbers are for, such as ("mixup", step).
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_all(seed: int, *purpose: str | int) -> None:
    """Seed the global generators of torch, numpy and Python, from which library code draws."""
    derived = derived_seed(seed, *purpose)
    torch.manual_seed(derived)
    np.random.seed(derived % 2**32)
    random.seed(derived)
