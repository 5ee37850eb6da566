"""Comparison of values that were computed on two machines."""

import math

_CLOSE = 1e-9  # relative and absolute; another machine may round the last bits otherwise


def alike(one: object, other: object) -> bool:
    """Return True if two values are equal up to the last bits of numbers."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return one == other
