"""Simulated studies: the chance of an outcome with so many seeds, and the seeds for enough of it.

Assumption: seeds scatter normally. The intervals are those of `metrics.intervals`, for many
studies at once.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

ENOUGH = 0.8  # the usual target power

_SEED = 0  # of the simulation: the same question has the same answer


def simulated_means(
    truths: Sequence[float], deviations: Sequence[float], seeds: Sequence[int], trials: int
) -> tuple[Float[np.ndarray, "c t"], Float[np.ndarray, "c t"]]:
    """Draw the means of cells and their squared standard errors.

    Means and variances are drawn, not runs: of normal runs they are independent, normal and
    chi-squared, so a study of a hundred seeds costs no more than one of two.

    Args:
        seeds: runs of each cell, two or more.
        trials: t, the number of studies.
    """
    draw = np.random.default_rng(_SEED)
    means, errors = [], []
    for truth, deviation, count in zip(truths, deviations, seeds, strict=True):
        error = deviation**2 / count
        means.append(truth + error**0.5 * draw.standard_normal(trials))
        errors.append(error * draw.chisquare(count - 1, trials) / (count - 1))
    return np.stack(means), np.stack(errors)


def steps_between(
    means: Float[np.ndarray, "c t"],
    errors: Float[np.ndarray, "c t"],
    seeds: Sequence[int],
    confidence: float,
) -> tuple[Float[np.ndarray, "s t"], Float[np.ndarray, "s t"]]:
    """Compute differences between neighboring cells, and half the lengths of their intervals.

    Args:
        means: of the runs, for each of c cells in t studies.
        errors: squared standard errors of these means.
        confidence: of Welch's interval, in (0, 1).

    Returns:
        both for s = c - 1 steps.
    """
    reaches = [
        _welch_reach(errors[i + 1], errors[i], seeds[i + 1], seeds[i], confidence)
        for i in range(len(means) - 1)
    ]
    return np.diff(means, axis=0), np.stack(reaches)


def student_reach(
    error: Float[np.ndarray, "t"], count: int, confidence: float
) -> Float[np.ndarray, "t"]:
    """Compute half the length of `intervals.seed_interval` from squared standard errors."""
    return np.asarray(_quantile(np.float64(count - 1), confidence) * error**0.5)


def fewest_seeds(chance: Callable[[int], float], most: int) -> int | None:
    """Find the fewest seeds whose chance is `ENOUGH`; None above `most`.

    Args:
        chance: of an outcome with so many seeds, two or more; it rises with them.
        most: beyond it a question counts as out of reach.
    """
    if chance(most) < ENOUGH:
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= ENOUGH else (middle, high)
    return high


def _welch_reach(
    above: Float[np.ndarray, "t"],
    below: Float[np.ndarray, "t"],
    count_above: int,
    count_below: int,
    confidence: float,
) -> Float[np.ndarray, "t"]:
    """Compute half the length of `intervals.difference_interval` from squared standard errors."""
    total = above + below
    spread = above**2 / (count_above - 1) + below**2 / (count_below - 1)
    # Without any variance the interval is a point, whatever the degrees of freedom.
    freedom = np.divide(total**2, spread, out=np.ones_like(total), where=spread > 0.0)
    return np.asarray(_quantile(freedom, confidence) * total**0.5)


def _quantile(freedom: np.ndarray | np.float64, confidence: float) -> np.ndarray:
    import scipy.special  # scipy.stats takes half a second more to import

    return np.asarray(scipy.special.stdtrit(freedom, 0.5 + confidence / 2))
