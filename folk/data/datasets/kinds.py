"""Which reader a kind of archive has."""

from collections.abc import Mapping
from pathlib import Path

from folk.data.datasets.ade20k import ade20k
from folk.data.datasets.corruptions import corruptions
from folk.data.datasets.imagenet import imagenet
from folk.data.datasets.store import Contents
from folk.data.datasets.variants import variant


def look_into(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Find out what official archives hold, from their directories alone.

    Args:
        kind: of archives, as in the recipe.
        archives: paths by the names that the kind has for them.
        num_classes: that whole archives have.

    Raises:
        InputError: an archive is missing, damaged or another one.
    """
    if kind == "imagenet":
        return imagenet(archives, num_classes)
    if kind == "ade20k":
        return ade20k(archives, num_classes)
    if kind in ("imagenet-c", "c-bar"):
        return corruptions(kind, archives, num_classes)
    return variant(kind, archives, num_classes)
