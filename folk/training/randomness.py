"""Seeds derived from the run's seed and the purpose of the random numbers.

No state is carried from step to step, so a resumed run draws the same numbers as an uninterrupted
one, and the number of processes does not change them.
"""

import hashlib
import random

import numpy as np
import torch


def derived_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed for a purpose.

    Args:
        purpose: words and counters that identify the use, such as ("mixup", step).
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_all(seed: int, *purpose: str | int) -> None:
    """Seed the global generators of torch, numpy and Python, from which library code draws."""
    derived = derived_seed(seed, *purpose)
    torch.manual_seed(derived)
    np.random.seed(derived % 2**32)
    random.seed(derived)
