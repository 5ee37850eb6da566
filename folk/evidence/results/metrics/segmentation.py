"""mIoU, mAcc and aAcc, from one confusion matrix per image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Integer

from folk.evidence.core.errors import InputError, brief
from folk.evidence.core.files import atomic_write
from folk.evidence.results.metrics.columns import numbers, read_columns, texts
from folk.evidence.results.metrics.image_scores import ImageScores, ordered_scores

IGNORE = 255


@dataclass(frozen=True)
class SegmentationScores:
    """Scores as fractions in [0, 1]; means exclude classes without annotation."""

    miou: float
    macc: float
    aacc: float
    iou: Float[np.ndarray, "c"]  # NaN for a class that is neither annotated nor predicted


def confusion_of_image(
    truth: Integer[np.ndarray, "h w"], predicted: Integer[np.ndarray, "h w"], num_classes: int
) -> Integer[np.ndarray, "c c"]:
    """Count pixels by [true class, predicted class]; pixels of truth 255 do not count.

    Raises:
        InputError: a class is outside 0 to num_classes - 1.
    """
    assert truth.shape == predicted.shape
    counted = truth != IGNORE
    true, guess = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    for name, values in (("annotation", true), ("prediction", guess)):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            worst = int(values.max() if values.max() >= num_classes else values.min())
            raise InputError(f"{name}: invalid class {worst}; expected 0 to {num_classes - 1}")
    counts = np.bincount(true * num_classes + guess, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def scores(confusion: Integer[np.ndarray, "c c"]) -> SegmentationScores:
    """Compute scores from the confusion matrix of a whole data set, summed over images.

    IoU of a class is TP / (TP + FP + FN); mIoU is its mean over the classes that are annotated or
    predicted anywhere, mAcc the mean of TP / (TP + FN) over annotated classes, aAcc the fraction
    of pixels that are right.

    Source: the definitions of the ADE20K benchmark as mmsegmentation computes them, sums over the
        data set first and then ratios, so that small images do not weigh more.

    Raises:
        InputError: no pixel is annotated.
    """
    matrix = confusion.astype(np.float64)
    if matrix.sum() == 0:
        raise InputError("segmentation: no annotated pixel; check the annotations")
    right = np.diag(matrix)
    annotated, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    union = annotated + predicted - right
    with np.errstate(invalid="ignore"):
        iou, accuracy = right / union, right / annotated
    return SegmentationScores(
        miou=float(np.nanmean(iou)),
        macc=float(np.nanmean(accuracy)),
        aacc=float(right.sum() / matrix.sum()),
        iou=iou,
    )


def write_confusions(path: Path, keys: list[str], confusions: Integer[np.ndarray, "n c c"]) -> None:
    """Store one confusion matrix per image: key, confusion (row by row, [true, predicted])."""
    assert len(keys) == len(confusions)
    num_classes = confusions.shape[1]
    flat = pa.array(confusions.astype(np.int64).ravel())
    offsets = pa.array(np.arange(len(keys) + 1) * num_classes**2, pa.int32())
    table = pa.table(
        {"key": pa.array(keys, pa.string()), "confusion": pa.ListArray.from_arrays(offsets, flat)}
    ).replace_schema_metadata({b"num_classes": str(num_classes).encode()})
    with atomic_write(path) as temp:
        pq.write_table(table, temp, compression="zstd")


def read_confusions(path: Path) -> Integer[np.ndarray, "n c c"]:
    """Read the matrices of `write_confusions`, in the order of the file."""
    table = read_columns(path, ["confusion"])
    try:
        num_classes = int(table.schema.metadata[b"num_classes"])
        flat = numbers(table["confusion"].combine_chunks().flatten())
        matrices = flat.reshape(table.num_rows, num_classes, num_classes)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path}: invalid confusion matrices: {brief(error)}") from error
    return np.asarray(matrices, dtype=np.int64)


def scores_of_file(path: Path) -> SegmentationScores:
    """Recompute scores from a file of confusion matrices."""
    return scores(read_confusions(path).sum(axis=0))


def score_by_name(path: Path, metric: str) -> float:
    """One of `miou`, `macc` and `aacc` of a file of confusion matrices."""
    found: float = getattr(scores_of_file(path), metric)
    return found


def score_of_images(path: Path, metric: str) -> ImageScores:
    """Right, annotated and predicted pixels of each class in each image, for `score_by_name`."""
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
    says = annotated.sum(axis=1) > 0
    keys = texts(read_columns(path, ["key"])["key"])[says]
    right, annotated, predicted = right[says], annotated[says], predicted[says]
    return ordered_scores(keys, np.concatenate([right, annotated, predicted], axis=1), value)
