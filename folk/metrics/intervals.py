"""How sure a number is: over seeds, and over the pictures it was measured on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num

from folk.errors import InputError


@dataclass(frozen=True)
class Interval:
    """A range that holds the true value with the stated confidence."""

    low: float
    high: float
    confidence: float  # in (0, 1)


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean.

    Raises:
        InputError: there are no values.
    """
    if not values:
        raise InputError("the mean of no values does not exist; at least one run must finish")
    return float(np.mean(np.asarray(values, dtype=np.float64)))


def deviation(values: Sequence[float]) -> float | None:
    """Standard deviation of a sample (divided by n - 1); None for fewer than two values."""
    if len(values) < 2:
        return None
    return float(np.std(np.asarray(values, dtype=np.float64), ddof=1))


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Student's t interval for the mean over seeds; None for fewer than two seeds.

    It supposes that the values of seeds scatter about normally. With two seeds it is very wide
    (12.7 standard errors at 95 %): that is what two seeds can say.

    Args:
        values: one number per seed.
        confidence: in (0, 1).
    """
    spread = deviation(values)
    if spread is None:
        return None
    import scipy.stats  # a second: only who asks for an interval pays it

    reach = float(scipy.stats.t.ppf(0.5 + confidence / 2, len(values) - 1))
    centre, half = mean(values), reach * spread / len(values) ** 0.5
    return Interval(centre - half, centre + half, confidence)


def wilson_interval(hits: int, total: int, confidence: float = 0.95) -> Interval:
    """Interval of a fraction, such as a top-1 accuracy on `total` pictures.

    Args:
        hits: how many were right.
        total: of how many.
        confidence: in (0, 1).

    Raises:
        InputError: total is below 1, or hits are not in 0 to total.

    Source: E. B. Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212, without continuity correction.
    """
    if total < 1 or not 0 <= hits <= total:
        raise InputError(f"{hits} right of {total} is not a fraction")
    import scipy.special

    z = float(scipy.special.ndtri(0.5 + confidence / 2))
    share = hits / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * (share * (1 - share) / total + z**2 / (4 * total**2)) ** 0.5
    return Interval(max(0.0, centre - half), min(1.0, centre + half), confidence)


def bootstrap_interval(
    per_picture: Num[np.ndarray, "n"],
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Percentile bootstrap of a mean over pictures, drawn with replacement.

    The same seed gives the same interval, so that a stored one can be checked.

    Args:
        per_picture: one number per picture, such as 1 for right and 0 for wrong.
        seed: of the draw.
        confidence: in (0, 1).
        resamples: how many samples are drawn.

    Raises:
        InputError: there are no pictures.
    """
    if len(per_picture) == 0:
        raise InputError("an interval needs at least one picture")
    generator = np.random.default_rng(seed)
    values = per_picture.astype(np.float64)
    means = np.array(
        [
            values[generator.integers(0, len(values), len(values))].mean()
            for _ in range(resamples)  # one at a time: 50,000 pictures x 2,000 would fill memory
        ]
    )
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(low), float(high), confidence)
