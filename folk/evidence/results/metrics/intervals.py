"""Confidence intervals over seeds and over images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from folk.evidence.core.errors import InputError


@dataclass(frozen=True)
class Interval:
    """Confidence interval."""

    low: float
    high: float
    confidence: float  # in (0, 1)


def mean(values: Sequence[float]) -> float:
    """Compute the arithmetic mean.

    Raises:
        InputError: there are no values.
    """
    if not values:
        raise InputError("mean: no values; at least one run must finish")
    return float(np.mean(np.asarray(values, dtype=np.float64)))


def deviation(values: Sequence[float]) -> float | None:
    """Compute the sample standard deviation (ddof 1); None for fewer than two values."""
    if len(values) < 2:
        return None
    return float(np.std(np.asarray(values, dtype=np.float64), ddof=1))


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Compute Student's t interval for the mean over seeds; None for fewer than two seeds.

    It assumes that values are normally distributed over seeds. With two seeds it is very wide (12.7
    standard errors at 95 %).
    """
    spread = deviation(values)
    if spread is None:
        return None
    import scipy.special  # scipy.stats takes half a second more to import

    reach = float(scipy.special.stdtrit(len(values) - 1, 0.5 + confidence / 2))
    center, half = mean(values), reach * spread / len(values) ** 0.5
    return Interval(center - half, center + half, confidence)


@dataclass(frozen=True)
class Scatter:
    """Standard deviations of runs with several measurements each; None if unknown."""

    within: float | None  # of the measurements of one run, pooled over runs
    between: float | None  # of runs, without that of their measurements


def nested_scatter(runs: Sequence[Sequence[float]]) -> Scatter:
    """Split the variance of a balanced nested sample by the method of moments.

    The variance of the runs' means is that between runs plus that within a run over the number of
    its measurements; where chance makes the first less than the second, `between` is 0.

    Source: the analysis of variance with one random factor, S. R. Searle et al., 1992, Variance
        Components, section 3.3.
    """
    count = len(runs[0]) if runs else 0
    if count < 2:
        return Scatter(None, None)
    within = float(np.mean([np.var(run, ddof=1) for run in runs]))
    if len(runs) < 2:
        return Scatter(within**0.5, None)
    between = float(np.var([mean(run) for run in runs], ddof=1)) - within / count
    return Scatter(within**0.5, max(between, 0.0) ** 0.5)


def difference_interval(
    above: Sequence[float], below: Sequence[float], confidence: float = 0.95
) -> Interval | None:
    """Compute Welch's t interval for mean(above) - mean(below); None with fewer than two seeds.

    The samples may have different variances and sizes. They count as independent although equal
    seeds share some random numbers; if that makes them alike, the interval is too wide.

    Source: B. L. Welch, 1947, Biometrika 34, 28-35.
    """
    return contrast_interval([above], [below], confidence)


def contrast_interval(
    above: Sequence[Sequence[float]], below: Sequence[Sequence[float]], confidence: float = 0.95
) -> Interval | None:
    """Compute a t interval for a difference of means of groups; None if one has fewer than two.

    All groups of a side count alike. Their variances may differ, as in Welch's interval, which this
    is with one group on each side.

    Args:
        above: groups with one number per seed.
        below: likewise.
        confidence: in (0, 1).

    Source: F. E. Satterthwaite, 1946, Biometrics Bulletin 2, 110-114: the degrees of freedom.
    """
    errors, spread = [], 0.0
    for side in (above, below):
        for group in side:
            scatter = deviation(group)
            if scatter is None:
                return None
            errors.append(scatter**2 / len(group) / len(side) ** 2)
            spread += errors[-1] ** 2 / (len(group) - 1)
    gap = mean([mean(group) for group in above]) - mean([mean(group) for group in below])
    if sum(errors) == 0.0:
        return Interval(gap, gap, confidence)  # no variance: degrees of freedom are 0 / 0
    import scipy.special  # scipy.stats takes half a second more to import

    freedom = sum(errors) ** 2 / spread
    half = float(scipy.special.stdtrit(freedom, 0.5 + confidence / 2)) * sum(errors) ** 0.5
    return Interval(gap - half, gap + half, confidence)


def resampled_means(
    per_image: Num[np.ndarray, "n d"], *, generator: np.random.Generator, resamples: int
) -> Float[np.ndarray, "r d"]:
    """Means over images drawn with replacement; all d columns share each draw of images.

    How often images with equal rows are drawn is one multinomial number for the whole group, so
    50,000 images that three runs got right or wrong cost a draw of eight numbers a resample. The
    distribution is exactly that of drawing images one by one.

    Args:
        per_image: d numbers of each image.

    Raises:
        InputError: there are no images.
    """
    total = len(per_image)
    if total == 0:
        raise InputError("an interval needs at least one image")
    groups, counts = _groups(per_image)
    step = max(1, 4_000_000 // len(groups))  # draws at once: 32 MB
    parts = [
        generator.multinomial(total, counts / total, size=min(step, resamples - start))
        @ groups.astype(np.float64)
        for start in range(0, resamples, step)
    ]
    means: np.ndarray = np.concatenate(parts) / total
    return means


def percentile_interval(values: Float[np.ndarray, "r"], confidence: float = 0.95) -> Interval:
    """The middle share of resampled values.

    Source: the percentile method, B. Efron, 1979, Ann. Stat. 7, 1-26.
    """
    low, high = np.quantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(low), float(high), confidence)


def _groups(
    per_image: Num[np.ndarray, "n d"],
) -> tuple[Num[np.ndarray, "g d"], Num[np.ndarray, "g"]]:
    """The different rows, and how often each is there."""
    if per_image.shape[1] > _WIDEST:
        return per_image, np.ones(len(per_image), dtype=np.int64)
    order = np.lexsort(per_image.T)
    rows = per_image[order]
    first = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)])
    return rows[first], np.diff(np.r_[first, len(rows)])


# Wider rows, such as the class counts of a segmentation, hardly ever are equal: not worth sorting.
_WIDEST = 64
