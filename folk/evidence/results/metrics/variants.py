"""Predictions of many image variants in one file: corrupted, attacked, or of other sets.

The best class alone: ImageNet-C has 3.75 million images.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Integer

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import COMPACT, atomic_write
from folk.evidence.results.metrics.classification import check_predictions, ranked
from folk.evidence.results.metrics.columns import numbers, read_batches, read_columns, texts
from folk.evidence.results.metrics.image_scores import ImageScores, first_mean, ordered_scores

_SCHEMA = pa.schema(
    [
        ("variant", pa.string()),
        ("key", pa.string()),
        ("label", pa.int32()),
        ("predicted", pa.int32()),
    ]
)


class VariantWriter:
    """Writer of predictions, variant by variant; see `write_variants`."""

    def __init__(self, path: Path, writer: pq.ParquetWriter) -> None:
        self._path = path
        self._writer = writer
        self._names: set[str] = set()

    def add(
        self,
        variant: str,
        keys: list[str],
        labels: Integer[np.ndarray, "n"],
        logits: Float[np.ndarray, "n c"],
    ) -> None:
        """Store the best class of each image of a variant.

        Args:
            variant: its name, such as `imagenet-c/fog-3`.
            logits: score of each class, any finite scale; equal scores rank the lower class first.

        Raises:
            InputError: as `write_predictions`; or a duplicate variant.
        """
        if variant in self._names:
            raise InputError(f"{self._path}: duplicate variant '{variant}'; rename one set")
        self._names.add(variant)
        check_predictions(self._path, keys, labels, logits)
        columns = [[variant] * len(keys), keys, labels, ranked(logits, 1)[:, 0]]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, _SCHEMA, strict=True)]
        self._writer.write_table(pa.table(arrays, schema=_SCHEMA))


@contextmanager
def write_variants(path: Path) -> Iterator[VariantWriter]:
    """Open the file; it is published when the block succeeds, even without variants."""
    with (
        atomic_write(path) as temp,
        pq.ParquetWriter(temp, _SCHEMA, **COMPACT) as writer,
    ):
        yield VariantWriter(path, writer)


def accuracy_of_variants(path: Path) -> dict[str, float]:
    """Compute the top-1 accuracy of each variant in [0, 1], in the order of the file."""
    right: dict[str, int] = {}
    total: dict[str, int] = {}
    for batch in read_batches(path, ["variant", "label", "predicted"]):
        hit = numbers(batch.column("predicted")) == numbers(batch.column("label"))
        names = texts(batch.column("variant"))
        for name in dict.fromkeys(names):
            of_name = names == name
            right[name] = right.get(name, 0) + int(hit[of_name].sum())
            total[name] = total.get(name, 0) + int(of_name.sum())
    return {name: right[name] / total[name] for name in total}


def scores_of_variants(path: Path, wanted: Callable[[str], bool]) -> ImageScores | None:
    """Average the top-1 hits of the wanted variants, if all of them have the same images."""
    table = read_columns(path, ["variant", "key", "label", "predicted"])
    names = table["variant"].combine_chunks().dictionary_encode()
    found = []
    for name in names.dictionary:
        if wanted(str(name)):
            part = table.filter(pc.equal(table["variant"], name))
            right = numbers(part["predicted"]) == numbers(part["label"])
            found.append(ordered_scores(texts(part["key"]), right[:, None].astype(np.uint8)))
    if not found or len({scores.names for scores in found}) > 1:
        return None
    mean = np.mean([scores.terms for scores in found], axis=0)
    return ImageScores(found[0].names, mean, first_mean)


def variant_of_images(path: Path, metric: str) -> ImageScores | None:
    """Top-1 hits of each image of a variant, for a metric `top1_<variant>`; else None."""
    match = re.fullmatch(r"top1_([^/]+)", metric)
    return None if match is None else scores_of_variants(path, lambda name: name == match[1])
