"""Scores of each image of one job, for the bootstrap of a cell over images."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Num

from folk.evidence.core.errors import InputError, brief

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


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Read some columns of stored predictions."""
    try:
        # Not `read_table`: it imports pandas, which costs more than a second.
        table = pq.ParquetFile(path).read(columns)
        if table.num_rows == 0 or table.num_columns < len(columns):
            raise ValueError(f"expected rows with the columns {', '.join(columns)}")
        table.validate(full=True)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: invalid predictions: {brief(error)}") from error
    return table
