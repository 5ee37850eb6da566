"""Bootstrap of a cell over images, from the predictions of its runs."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from folk.evidence.results.metrics.image_scores import ImageScores
from folk.evidence.results.metrics.intervals import (
    Interval,
    percentile_interval,
    resampled_means,
)

RESAMPLES = 1000
# A cell has several runs, so no run's seed fits; one seed for all cells.
SEED = 0


def image_bootstrap(
    by_seed: Sequence[Sequence[ImageScores]], combine: Literal["mean", "max"]
) -> Interval | None:
    """Bootstrap a cell over images, its seeds held fixed.

    The interval is for the value of these runs on the population of the test images. It excludes
    variation over seeds, which the t interval over seeds covers. None if runs saw different images,
    or a single one, which has no deviation.

    Every resample draws images once for all runs, since all runs have the same images. Evaluations
    are combined within a seed, then seeds are averaged, as in the cell.

    Args:
        by_seed: for each seed, the scores of its evaluations.
        combine: reduces the evaluations of a seed to one number.

    Returns:
        the 95 % percentile interval, in the metric's own unit.
    """
    runs = [scores for seed in by_seed for scores in seed]
    if not runs or len({(run.names, len(run.terms)) for run in runs}) > 1:
        return None
    if len(runs[0].terms) < 2:
        return None
    means = resampled_means(
        np.concatenate([run.terms for run in runs], axis=1),
        generator=np.random.default_rng(SEED),
        resamples=RESAMPLES,
    )
    ends = np.cumsum([run.terms.shape[1] for run in runs])
    parts = np.split(means, ends[:-1], axis=1)
    values = np.stack([run.value(part) for run, part in zip(runs, parts, strict=True)], axis=1)
    values = values.reshape(RESAMPLES, len(by_seed), -1)
    joined = values.max(axis=2) if combine == "max" else values.mean(axis=2)
    return percentile_interval(joined.mean(axis=1))
