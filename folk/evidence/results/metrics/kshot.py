"""Few-shot logistic regression on frozen features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Integer

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.image_scores import ImageScores
from folk.evidence.results.metrics.variants import accuracy_of_variants, scores_of_variants

Center = Literal["feature", "image"]


def draw_shots(
    labels: Integer[np.ndarray, "n"], shots: Sequence[int], seed: int
) -> dict[int, Integer[np.ndarray, "m"]]:
    """Choose k images of each class for every k; smaller choices are subsets of larger ones.

    Returns:
        k -> indices of the chosen images, ascending.

    Source: the lists of MSN, facebookresearch/msn: within one split 1 lies in 2 and 2 in 5.

    Raises:
        InputError: a class has fewer than k images.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    of_class = {int(c): order[labels[order] == c] for c in np.unique(labels)}
    few = min(of_class, key=lambda c: len(of_class[c]))
    if len(of_class[few]) < max(shots):
        raise InputError(
            f"kshot.shots: expected {max(shots)} labeled images of each class, got "
            f"{len(of_class[few])} of class {few}; lower it"
        )
    return {k: np.sort(np.concatenate([own[:k] for own in of_class.values()])) for k in shots}


def logistic_scores(
    seen: Float[np.ndarray, "n d"],
    labels: Integer[np.ndarray, "n"],
    unseen: Float[np.ndarray, "m d"],
    *,
    num_classes: int,
    weight_decay: float,
    center: Center,
    max_iterations: int,
    tolerance: float,
) -> Float[np.ndarray, "m c"]:
    """Fit a multiclass logistic regression without intercept; score the unseen images.

    What is minimized is the mean loss of the n labeled images plus
    `weight_decay` / n * ||w||^2 / 2, so `weight_decay` is MSN's lambda before its division by N.
    iBOT does not divide its lambda by N: pass its value times n here.

    Args:
        num_classes: width of the result; a class without a labeled image gets the lowest score.
        weight_decay: lambda, above 0.
        center: the subtracted mean, see `prepared`.
        tolerance: of the solver, on the largest entry of the gradient.

    Source: MSN, facebookresearch/msn@4388dc1: no intercept, lambda / N; its solver, cyanure 1.2.2,
        halves ||w||^2. We differ in the solver alone: L-BFGS of scikit-learn, the same minimum.

    Raises:
        InputError: fewer than two labeled classes, or a zero or non-finite feature.
    """
    if len(np.unique(labels)) < 2:
        raise InputError("kshot: expected images of at least two classes; use a larger split")
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    known, asked = prepared(seen, unseen, center)
    # scikit-learn minimizes C * (sum of losses) + ||w||^2 / 2: ours times n / lambda.
    model = LogisticRegression(
        C=1.0 / weight_decay, fit_intercept=False, max_iter=max_iterations, tol=tolerance
    ).fit(known, labels)
    found = model.decision_function(asked)
    if found.ndim == 1:  # two classes share one score
        found = np.stack([-found, found], axis=1)
    scores = np.full((len(asked), num_classes), found.min() - 1.0)
    scores[:, model.classes_] = found
    return scores


def kshot_metrics(path: Path) -> dict[str, float]:
    """Compute `kshot_top1_<k>`, in [0, 1], from predictions with variants `<k>/<split>`.

    Each is the mean over splits of the top-1 accuracy.
    """
    by_k: dict[str, list[float]] = {}
    for name, accuracy in accuracy_of_variants(path).items():
        by_k.setdefault(name.partition("/")[0], []).append(accuracy)
    return {f"kshot_top1_{k}": sum(values) / len(values) for k, values in by_k.items()}


def kshot_by_name(path: Path, metric: str) -> float | None:
    """One number of `kshot_metrics`."""
    return kshot_metrics(path).get(metric)


def kshot_of_images(path: Path, metric: str) -> ImageScores | None:
    """Top-1 hits of each image, the mean over splits, for a metric `kshot_top1_<k>`."""
    k = metric.removeprefix("kshot_top1_")
    return scores_of_variants(path, lambda name: name.startswith(f"{k}/"))


def prepared(
    seen: Float[np.ndarray, "n d"], unseen: Float[np.ndarray, "m d"], center: Center
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
    """Center and L2-normalize features, in float64.

    Args:
        center: "image" subtracts from each feature vector the mean of its own entries, then
            normalizes; "feature" normalizes, then subtracts the mean vector of the labeled images
            from all.

    Source: "image" is `cyanure.preprocess(columns=False, centering=True, normalize=True)`, as
        facebookresearch/msn@4388dc1 calls it.

    Raises:
        InputError: a feature is zero or not finite, or zero after centering.
    """
    known, asked = seen.astype(np.float64), unseen.astype(np.float64)
    if center == "image":
        return _unit(known - known.mean(axis=1, keepdims=True)), _unit(
            asked - asked.mean(axis=1, keepdims=True)
        )
    known, asked = _unit(known), _unit(asked)
    middle = known.mean(axis=0)
    return known - middle, asked - middle


def _unit(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))[:, 0])
    if len(bad):
        raise InputError(f"kshot: feature {int(bad[0])} is zero or not finite; check the encoder")
    directions: np.ndarray = features / lengths
    return directions
