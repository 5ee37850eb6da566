"""Top-k accuracy and stored predictions."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Integer

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import COMPACT, atomic_write
from folk.evidence.results.metrics.columns import numbers, read_columns, texts
from folk.evidence.results.metrics.image_scores import ImageScores, ordered_scores

NUM_KEPT = 5


def write_predictions(
    path: Path, keys: list[str], labels: Integer[np.ndarray, "n"], logits: Float[np.ndarray, "n c"]
) -> None:
    """Store the five best classes of each image and their probabilities.

    Args:
        path: the parquet file to write: key, label, top5 (best first), probability (of top5, the
            softmax over all classes, to two decimals).
        logits: score of each class, any finite scale; equal scores rank the lower class first.

    Raises:
        InputError: a non-finite score, or an invalid label.
    """
    check_predictions(path, keys, labels, logits)
    top = ranked(logits, min(NUM_KEPT, logits.shape[1]))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = np.take_along_axis(powers / powers.sum(axis=1, keepdims=True), top, axis=1)
    rounded = probabilities.round(2).astype(np.float32)  # more digits would be most of the file
    table = pa.table(
        {
            "key": pa.array(keys, pa.string()),
            "label": pa.array(labels.astype(np.int32)),
            "top5": _lists(top),
            "probability": _lists(rounded),
        }
    )
    with atomic_write(path) as temp:
        pq.write_table(table, temp, **COMPACT)


def check_predictions(
    path: Path, keys: list[str], labels: Integer[np.ndarray, "n"], logits: Float[np.ndarray, "n c"]
) -> None:
    """Check what `write_predictions` is given; `path` is used in errors only.

    Raises:
        InputError: a non-finite score, or an invalid label.
    """
    assert len(keys) == len(labels) == len(logits)
    if (row := _first_not_finite(logits)) is not None:
        raise InputError(f"{path}: non-finite scores of image '{keys[row]}'; train it again")
    num_classes = logits.shape[1]
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        row = int(outside[0])
        raise InputError(
            f"{path}: invalid label {labels[row]} of image '{keys[row]}'; "
            f"expected 0 to {num_classes - 1}"
        )


def ranked(logits: Float[np.ndarray, "n c"], k: int) -> Integer[np.ndarray, "n k"]:
    """Rank the k classes with the highest scores, best first; ties by class number.

    Raises:
        InputError: a non-finite score.
    """
    if (row := _first_not_finite(logits)) is not None:
        raise InputError(f"predictions: non-finite scores of image {row}; train it again")
    # A stable sort: ties must not depend on the machine.
    return np.argsort(-logits, axis=1, kind="stable")[:, :k].astype(np.int32)


def read_predictions(path: Path) -> tuple[Integer[np.ndarray, "n"], Integer[np.ndarray, "n k"]]:
    """Read labels, and the kept classes of each image, best first.

    Raises:
        InputError: missing or invalid file, or a non-finite score.
    """
    table = read_columns(path, ["label", "top5", "probability"])
    if not np.isfinite(_flat(table["probability"])).all():
        raise InputError(f"{path}: non-finite scores; make it again")
    labels = numbers(table["label"])
    return labels, _flat(table["top5"]).astype(np.int32).reshape(len(labels), -1)


def hits(
    labels: Integer[np.ndarray, "n"], ranked: Integer[np.ndarray, "n k"], k: int
) -> Integer[np.ndarray, "n"]:
    """Mark images whose true class is among the k best with 1, others with 0.

    With fewer than k classes stored because there are no more classes, all of them count.

    Raises:
        InputError: k is below 1 or above the number of kept classes.
    """
    if not 1 <= k <= NUM_KEPT:
        raise InputError(f"top-{k}: expected k from 1 to {NUM_KEPT}, the number of stored classes")
    found: np.ndarray = (ranked[:, :k] == labels[:, None]).any(axis=1).astype(np.int64)
    return found


def top_k_accuracy(
    labels: Integer[np.ndarray, "n"], ranked: Integer[np.ndarray, "n k"], k: int = 1
) -> float:
    """Compute the fraction in [0, 1] of images whose true class is among the k best."""
    return float(hits(labels, ranked, k).mean())


def top_k_of_file(path: Path, k: int = 1) -> float:
    """Top-k accuracy, recomputed from a file of predictions."""
    labels, ranked = read_predictions(path)
    return top_k_accuracy(labels, ranked, k)


def top_k_by_name(path: Path, metric: str) -> float:
    """Top-k accuracy of a file of predictions, for a metric such as `top5_last`."""
    return top_k_of_file(path, _k_of(metric))


def top_k_of_images(path: Path, metric: str) -> ImageScores:
    """1 for an image whose class is among the k best, else 0; k as in `top_k_by_name`."""
    table = read_columns(path, ["key", "label", "top5"])
    labels = numbers(table["label"])
    ranked = _flat(table["top5"]).reshape(len(labels), -1)
    right = hits(labels, ranked, _k_of(metric))[:, None].astype(np.uint8)
    return ordered_scores(texts(table["key"]), right)


def _k_of(metric: str) -> int:
    found = re.search(r"top(\d+)_", metric)
    assert found is not None, metric
    return int(found[1])


def _first_not_finite(logits: Float[np.ndarray, "n c"]) -> int | None:
    finite = np.isfinite(logits)
    return None if finite.all() else int(np.flatnonzero(~finite.all(axis=1))[0])


def _flat(lists: pa.ChunkedArray) -> np.ndarray:
    return numbers(lists.combine_chunks().flatten())


def _lists(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
