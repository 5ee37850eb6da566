"""Bootstrap of a cell over images, from the predictions of its runs."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Num

from folk.evidence.core.errors import InputError, brief
from folk.evidence.results.metrics.classification import hits
from folk.evidence.results.metrics.columns import numbers, texts
from folk.evidence.results.metrics.intervals import (
    Interval,
    percentile_interval,
    resampled_means,
)
from folk.evidence.results.metrics.segmentation import read_confusions

RESAMPLES = 1000
# A cell has several runs, so no run's seed fits; one seed for all cells.
SEED = 0


@dataclass(frozen=True)
class ImageScores:
    """Per-image scores of one job, in the order of the images' names.

    A metric is `value` of the mean of `terms` over images.
    """

    names: str  # digest of the names: equal for equal images
    terms: Num[np.ndarray, "n d"]
    value: Callable[[Float[np.ndarray, "r d"]], Float[np.ndarray, "r"]]


def image_scores(folder: Path, metric: str) -> ImageScores | None:
    """Read the per-image scores of a metric; None if no file has them.

    Accuracies of a best epoch, speeds and mCE have no such file; top-k after the last epoch, on
    frozen features and on other sets, k-shot, and the scores of a segmentation do.

    Raises:
        InputError: the file is missing or unreadable.
    """
    if metric in ("miou", "macc", "aacc"):
        return _segmented(folder / "predictions.parquet", metric)
    if match := re.fullmatch(r"(?:(linear)_)?top([15])_last", metric):
        name = f"predictions-{match[1]}.parquet" if match[1] else "predictions.parquet"
        return _classified(folder / name, int(match[2]))
    if match := re.fullmatch(r"knn_top([15])_k\d+", metric):
        return _classified(folder / "predictions-knn.parquet", int(match[1]))
    if match := re.fullmatch(r"kshot_top1_(\d+)", metric):
        shots = match[1]
        return _variants(folder / "predictions-kshot.parquet", lambda v: v.startswith(f"{shots}/"))
    variants = folder / "predictions-variants.parquet"
    if variants.is_file() and (match := re.fullmatch(r"top1_([^/]+)", metric)):
        wanted = match[1]
        return _variants(variants, lambda v: v == wanted)
    return None


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


def _only(means: Float[np.ndarray, "r 1"]) -> Float[np.ndarray, "r"]:
    return means[:, 0]


def _classified(path: Path, k: int) -> ImageScores:
    table = _read(path, ["key", "label", "top5"])
    return _ordered(texts(table["key"]), _hits(table, k))


def _variants(path: Path, wanted: Callable[[str], bool]) -> ImageScores | None:
    """Average the wanted variants, if all of them have the same images."""
    table = _read(path, ["variant", "key", "label", "top5"])
    names = table["variant"].combine_chunks().dictionary_encode()
    labels = [str(name) for name in names.dictionary.to_pylist()]
    found = [
        _ordered(texts(part["key"]), _hits(part, 1))
        for code, name in enumerate(labels)
        if wanted(name)
        for part in [table.filter(pc.equal(table["variant"], names.dictionary[code]))]
    ]
    if not found or len({scores.names for scores in found}) > 1:
        return None
    mean = np.mean([scores.terms for scores in found], axis=0)
    return ImageScores(found[0].names, mean, _only)


def _segmented(path: Path, metric: str) -> ImageScores:
    confusions = read_confusions(path)
    right = np.diagonal(confusions, axis1=1, axis2=2)
    annotated, predicted = confusions.sum(axis=2), confusions.sum(axis=1)
    classes = right.shape[1]

    def value(means: Float[np.ndarray, "r d"]) -> Float[np.ndarray, "r"]:
        tp, true, guessed = (
            means[:, i * classes : (i + 1) * classes].astype(np.float64) for i in range(3)
        )
        # A class in none of the drawn images is excluded, as in `scores`.
        with np.errstate(invalid="ignore", divide="ignore"):
            if metric == "aacc":
                found = tp.sum(axis=1) / true.sum(axis=1)
            elif metric == "macc":
                found = np.nanmean(tp / true, axis=1)
            else:
                found = np.nanmean(tp / (true + guessed - tp), axis=1)
        return np.asarray(found)

    # Images without an annotated pixel are excluded; drawn alone, one would give 0 / 0.
    has_pixels = annotated.sum(axis=1) > 0
    keys = texts(_read(path, ["key"])["key"])[has_pixels]
    right, annotated, predicted = right[has_pixels], annotated[has_pixels], predicted[has_pixels]
    return _ordered(keys, np.concatenate([right, annotated, predicted], axis=1), value)


def _hits(table: pa.Table, k: int) -> Num[np.ndarray, "n 1"]:
    labels = numbers(table["label"])
    ranked = numbers(table["top5"].combine_chunks().flatten()).reshape(len(labels), -1)
    return hits(labels, ranked, k)[:, None].astype(np.uint8)


def _ordered(
    keys: np.ndarray,
    terms: Num[np.ndarray, "n d"],
    value: Callable[[Float[np.ndarray, "r d"]], Float[np.ndarray, "r"]] = _only,
) -> ImageScores:
    order = np.argsort(keys, kind="stable")
    names = hashlib.sha256("\0".join(keys[order]).encode()).hexdigest()
    return ImageScores(names, terms[order], value)


def _read(path: Path, columns: list[str]) -> pa.Table:
    try:
        # Not `read_table`: it imports pandas, which costs more than a second.
        table = pq.ParquetFile(path).read(columns)
        if table.num_rows == 0 or table.num_columns < len(columns):
            raise ValueError(f"expected rows with the columns {', '.join(columns)}")
        table.validate(full=True)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: invalid predictions: {brief(error)}") from error
    return table
