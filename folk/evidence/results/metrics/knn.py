"""k-NN classification of frozen features."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.image_scores import ImageScores
from folk.evidence.results.metrics.variants import accuracy_of_variants, scores_of_variants

BLOCK_SCORES = 2**24  # similarities held at once: 64 MiB of float32


def knn_scores(
    train_features: Float[np.ndarray, "n d"],
    train_labels: Integer[np.ndarray, "n"],
    test_features: Float[np.ndarray, "m d"],
    ks: Sequence[int],
    temperature: float,
    num_classes: int | None = None,
) -> dict[int, Float[np.ndarray, "m c"]]:
    """Score classes by votes of the k most similar training images, weighted exp(similarity / T).

    Similarity is the cosine: features are divided by their length first. Of equally similar
    images the earlier one counts.

    Args:
        train_features: features of the labeled images, any scale.
        train_labels: their classes.
        test_features: features of the images to classify.
        ks: numbers of voters; all images vote when there are fewer.
        temperature: T, about 0.07; smaller values favor the nearest.
        num_classes: width of the result; None takes the largest label + 1.

    Returns:
        for each k the logarithm of each class's votes, which keeps the order in float32 for any
        T; a class without a vote gets a value below every class that has one.

    Source: the weighted k-NN protocol of DINO, arXiv:2104.14294 section 4.1 (k 20, T 0.07), from
        arXiv:1805.01978 section 3.4. They sum the weights; we give the logarithm of that sum.

    Raises:
        InputError: a k or T is not positive, there are no training images, or a feature vector is
            zero or not finite.
    """
    if min(ks) < 1 or temperature <= 0:
        raise InputError(
            f"k-NN: expected k >= 1 and temperature > 0, got {min(ks)} and {temperature}"
        )
    if len(train_features) == 0:
        raise InputError("k-NN: no labeled images; use a split with labels")
    assert len(train_features) == len(train_labels)
    classes = int(train_labels.max()) + 1 if num_classes is None else num_classes
    known, asked = _unit_length(train_features, "training"), _unit_length(test_features, "test")
    scores = {k: np.empty((len(asked), classes), dtype=np.float32) for k in ks}
    rows = max(1, BLOCK_SCORES // len(known))
    for start in range(0, len(asked), rows):
        similarity = asked[start : start + rows] @ known.T
        # Neighbors for a smaller k are also neighbors for the largest.
        voters = _largest(similarity, min(max(ks), len(known)))
        similarity = np.take_along_axis(similarity, voters, axis=1)
        for k in ks:
            scores[k][start : start + rows] = _votes(
                similarity, train_labels[voters], min(k, len(known)), temperature, classes
            )
    return scores


def knn_metrics(path: Path) -> dict[str, float]:
    """Compute `knn_top1_k<k>`, in [0, 1], from predictions with k as the variant's name.

    Raises:
        InputError: an unreadable file.
    """
    return {f"knn_top1_k{k}": top1 for k, top1 in accuracy_of_variants(path).items()}


def knn_by_name(path: Path, metric: str) -> float | None:
    """One number of `knn_metrics`.

    Raises:
        InputError: an unreadable file.
    """
    return knn_metrics(path).get(metric)


def knn_of_images(path: Path, metric: str) -> ImageScores | None:
    """Top-1 hits of each image, for a metric `knn_top1_k<k>`.

    Raises:
        InputError: an unreadable file.
    """
    k = metric.removeprefix("knn_top1_k")
    return scores_of_variants(path, lambda name: name == k)


def _votes(
    similarity: Float[np.ndarray, "b n"],
    labels: Integer[np.ndarray, "b n"],
    k: int,
    temperature: float,
    classes: int,
) -> Float[np.ndarray, "b c"]:
    nearest = _largest(similarity, k)
    exponent = np.take_along_axis(similarity, nearest, axis=1).astype(np.float64) / temperature
    # Relative to the nearest, so that exp neither overflows nor vanishes for relevant votes.
    top = exponent.max(axis=1, keepdims=True)
    sums = np.zeros((len(similarity), classes))
    row = np.broadcast_to(np.arange(len(similarity))[:, None], nearest.shape)
    own = np.take_along_axis(labels, nearest, axis=1)
    np.add.at(sums, (row, own), np.exp(exponent - top))
    # Without a vote: below the weakest possible vote, at similarity -1.
    lowest = -3.0 / temperature - np.log(k)
    with np.errstate(divide="ignore"):
        votes = np.where(sums > 0, np.log(sums) + top, lowest)
    result: np.ndarray = votes.astype(np.float32)
    return result


def _largest(similarity: Float[np.ndarray, "b n"], k: int) -> Integer[np.ndarray, "b k"]:
    """Return the columns of the k largest values of each row; ties by column."""
    threshold = -np.partition(-similarity, k - 1, axis=1)[:, k - 1 : k]
    above, level = similarity > threshold, similarity == threshold
    missing = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= missing))
    return np.nonzero(chosen)[1].reshape(len(similarity), k)


def _unit_length(features: Float[np.ndarray, "n d"], name: str) -> Float[np.ndarray, "n d"]:
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))[:, 0])
    if len(bad):
        raise InputError(
            f"k-NN: {name} feature {int(bad[0])} is zero or not finite; check the encoder"
        )
    directions: np.ndarray = (features / lengths).astype(np.float32)
    return directions
