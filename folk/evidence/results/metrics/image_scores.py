"""Scores of each image of one job, for the bootstrap of a cell over images."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

Value = Callable[[Float[np.ndarray, "r d"]], Float[np.ndarray, "r"]]


@dataclass(frozen=True)
class ImageScores:
    """Per-image scores of one job, in the order of the images' names.

    A metric is `value` of the mean of `terms` over images.
    """

    names: str  # digest of the names: equal for equal images
    terms: Num[np.ndarray, "n d"]
    value: Value


def first_mean(means: Float[np.ndarray, "r 1"]) -> Float[np.ndarray, "r"]:
    """Return the mean of a metric with one term."""
    return means[:, 0]


def ordered_scores(
    keys: np.ndarray, terms: Num[np.ndarray, "n d"], value: Value = first_mean
) -> ImageScores:
    """Make the scores of images in any order."""
    order = np.argsort(keys, kind="stable")
    names = hashlib.sha256("\0".join(keys[order]).encode()).hexdigest()
    return ImageScores(names, terms[order], value)
