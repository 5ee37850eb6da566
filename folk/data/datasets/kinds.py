"""Dispatch from a kind of archive to its reader."""

from collections.abc import Mapping
from pathlib import Path

from folk.data.datasets.ade20k import ade20k
from folk.data.datasets.archives import Contents
from folk.data.datasets.corruptions import corruptions
from folk.data.datasets.imagenet import imagenet
from folk.data.datasets.variants import variant


def look_into(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """List the contents of official archives, from their directories alone.

    Args:
        kind: of archives, as in the recipe.
        archives: paths by the kind's names for them.
        num_classes: expected number of classes.

    Raises:
        InputError: an archive is missing, damaged or not the official one.
    """
    if kind == "imagenet":
        return imagenet(archives, num_classes)
    if kind == "ade20k":
        return ade20k(archives, num_classes)
    if kind in ("imagenet-c", "c-bar"):
        return corruptions(kind, archives, num_classes)
    return variant(kind, archives, num_classes)
