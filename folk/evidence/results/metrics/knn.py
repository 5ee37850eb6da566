"""k-NN classification of frozen features."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.image_scores import ImageScores
from folk.evidence.results.metrics.variants import accuracy_of_variants, scores_of_variants

BLOCK_VOTES = 2**24  # votes held at once: 128 MiB of float64


def knn_votes(
    similarity: Float[np.ndarray, "m k"],
    labels: Integer[np.ndarray, "m k"],
    temperature: float,
    num_classes: int,
) -> Float[np.ndarray, "m c"]:
    """Score classes by the votes of each image's k neighbors, weighted exp(similarity / T).

    Args:
        similarity: cosine of each image and its neighbors.
        temperature: T, about 0.07; smaller values favor the nearest.

    Returns:
        the logarithm of each class's votes, which keeps the order in float32 for any T; a class
        without a vote gets a value below every class that has one.

    Source: the weighted k-NN protocol of DINO, arXiv:2104.14294 section 4.1 (k 20, T 0.07), from
        arXiv:1805.01978 section 3.4. They sum the weights; we give the logarithm of that sum.

    Raises:
        InputError: T is not positive.
    """
    if temperature <= 0:
        raise InputError(f"k-NN: expected temperature > 0, got {temperature}")
    scores = np.empty((len(similarity), num_classes), dtype=np.float32)
    rows = max(1, BLOCK_VOTES // num_classes)
    for start in range(0, len(scores), rows):
        block = slice(start, start + rows)
        scores[block] = _votes(similarity[block], labels[block], temperature, num_classes)
    return scores


def knn_metrics(path: Path) -> dict[str, float]:
    """Compute `knn_top1_k<k>`, in [0, 1], from predictions with k as the variant's name."""
    return {f"knn_top1_k{k}": top1 for k, top1 in accuracy_of_variants(path).items()}


def knn_by_name(path: Path, metric: str) -> float | None:
    """One number of `knn_metrics`."""
    return knn_metrics(path).get(metric)


def knn_of_images(path: Path, metric: str) -> ImageScores | None:
    """Top-1 hits of each image, for a metric `knn_top1_k<k>`."""
    k = metric.removeprefix("knn_top1_k")
    return scores_of_variants(path, lambda name: name == k)


def _votes(
    similarity: Float[np.ndarray, "b k"],
    labels: Integer[np.ndarray, "b k"],
    temperature: float,
    num_classes: int,
) -> Float[np.ndarray, "b c"]:
    exponent = similarity.astype(np.float64) / temperature
    # Relative to the nearest, so that exp neither overflows nor vanishes for relevant votes.
    top = exponent.max(axis=1, keepdims=True)
    sums = np.zeros((len(similarity), num_classes))
    row = np.broadcast_to(np.arange(len(similarity))[:, None], labels.shape)
    np.add.at(sums, (row, labels), np.exp(exponent - top))
    # Without a vote: below the weakest possible vote, at similarity -1.
    lowest = -3.0 / temperature - np.log(similarity.shape[1])
    with np.errstate(divide="ignore"):
        votes = np.where(sums > 0, np.log(sums) + top, lowest)
    result: np.ndarray = votes.astype(np.float32)
    return result
