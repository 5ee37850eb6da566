"""What stands twice in a data set: a key, which is refused, or an image, which is told."""

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

# Splits that are learned from; images of all others are measured.
LEARNED = ("train", "unlabeled")
NUM_NAMED = 3


def refuse_repeated_keys(manifest: Path) -> None:
    """Refuse a key that two images of a split have, wherever in it they stand.

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
        twice = counted.filter(pc.greater(counted.field("counts"), 1))
        more = ", ..." if len(twice) > 1 else ""
        raise InputError(
            f"{len(twice)} keys stand for several images: {twice[0]['values'].as_py()}{more}; "
            "get the official archive"
        )


def shared_images(manifest: Path) -> dict[str, dict[str, Any]]:
    """Find images that are learned from and measured too, by the digest of their bytes.

    Args:
        manifest: of the data set.

    Returns:
        by measured split that has such images, how many (`images`), and of the `first` ones the
        key in both splits. Empty where there is no split to learn from.
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


def tell_shared_images(shared: dict[str, dict[str, Any]], counts: dict[str, int]) -> None:
    """Say in the log what `shared_images` found; a user may have reasons, so nothing is refused.

    Args:
        shared: as `shared_images` gives it.
        counts: images by split.
    """
    for split, found in shared.items():
        names = ", ".join(f"{key} (= {twin})" for key, twin in found["first"])
        more = ", ..." if found["images"] > len(found["first"]) else ""
        print(
            f"warning: {found['images']} of {counts[split]} images of split '{split}' are, "
            f"byte for byte, among those that are learned from: {names}{more}; numbers on this "
            "split flatter; remove one of each pair",
            file=sys.stderr,
        )


def _by_split(manifest: Path, columns: list[str]) -> Iterator[tuple[str, Any]]:
    """The manifest piece by piece, cut where a split ends; splits stand one after the other."""
    file = pq.ParquetFile(manifest)
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=["split", *columns])
        for split in pc.unique(group["split"]).to_pylist():
            yield split, group.filter(pc.equal(group["split"], split)).select(columns)
