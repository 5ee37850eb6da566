"""Duplicates in a data set: duplicate keys are an error, duplicate images are reported."""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from folk.evidence.core.errors import InputError

# Training splits; images of all other splits are for evaluation.
LEARNED = ("train", "unlabeled")
NUM_NAMED = 3


def check_unique_keys(manifest: Path) -> None:
    """Reject a key that two images of a split have.

    Memory grows with the keys of the largest split. A key begins with its split, so two splits
    share none.

    Raises:
        InputError: names the first such key.
    """
    for _, pieces in groupby(_by_split(manifest, ["key"]), key=itemgetter(0)):
        keys = pa.concat_tables([piece for _, piece in pieces])["key"]
        if pc.count_distinct(keys).as_py() == len(keys):
            continue
        counted = pc.value_counts(keys)
        duplicates = counted.filter(pc.greater(counted.field("counts"), 1))
        more = ", ..." if len(duplicates) > 1 else ""
        raise InputError(
            f"{len(duplicates)} duplicate keys: {duplicates[0]['values'].as_py()}{more}; "
            "get the official archive"
        )


def shared_images(manifest: Path) -> dict[str, dict[str, Any]]:
    """Find images that are in a training and in an evaluation split, by digest of their bytes.

    Args:
        manifest: manifest of the data set.

    Returns:
        by evaluation split with such images: their number (`images`), and for the `first` ones
        the key in both splits. Empty without a training split.
    """
    learned = [part for split, part in _by_split(manifest, ["key", "sha256"]) if split in LEARNED]
    if not learned:
        return {}
    known = pa.concat_tables(learned)
    digests = known["sha256"].combine_chunks()
    counts: Counter[str] = Counter()
    first: dict[str, list[list[str]]] = {}
    for split, part in _by_split(manifest, ["key", "sha256"]):
        if split in LEARNED:
            continue
        shared = part.filter(pc.is_in(part["sha256"], value_set=digests))
        counts[split] += shared.num_rows
        named = first.setdefault(split, [])
        for row in shared.slice(0, NUM_NAMED - len(named)).to_pylist():
            place = pc.index(digests, row["sha256"]).as_py()
            named.append([row["key"], known["key"][place].as_py()])
    return {split: {"images": n, "first": first[split]} for split, n in counts.items() if n}


def log_shared_images(shared: dict[str, dict[str, Any]], counts: dict[str, int]) -> None:
    """Warn in the log about shared images; a user may have reasons, so this is no error.

    Args:
        shared: as `shared_images` gives it.
        counts: images by split.
    """
    for split, found in shared.items():
        names = ", ".join(f"{key} (= {twin})" for key, twin in found["first"])
        more = ", ..." if found["images"] > len(found["first"]) else ""
        print(
            f"warning: {found['images']} of {counts[split]} images of split '{split}' are, "
            f"byte for byte, training images too: {names}{more}; results on this "
            "split are too good; remove one of each pair",
            file=sys.stderr,
        )


def _by_split(manifest: Path, columns: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the manifest in pieces that do not cross splits; splits are contiguous."""
    file = pq.ParquetFile(manifest)
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=["split", *columns])
        for split in pc.unique(group["split"]).to_pylist():
            yield split, group.filter(pc.equal(group["split"], split)).select(columns)
