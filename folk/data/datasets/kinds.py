"""The table of official archives: the reader of each kind."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from folk.data.datasets.archives import Contents

EMBEDDED = Path(__file__).parent / "embedded"


class Kind(NamedTuple):
    """How archives of a kind are read.

    Attributes:
        reader: `module.function` in this package, by name, so that recipes are checked without
            NumPy. It takes the kind, the archives' paths by name and the expected number of
            classes, and returns `Contents`.
        archives: names; None where there may be any number of archives.
        embedded: the archives ship with this package, in `embedded/<kind>`.
    """

    reader: str
    archives: tuple[str, ...] | None
    embedded: bool = False


IDX_FILES = ("train-images", "train-labels", "test-images", "test-labels")

KINDS = {
    "imagenet": Kind("imagenet.imagenet", ("train", "val", "devkit")),
    "ade20k": Kind("ade20k.ade20k", ("images",)),
    "imagenet-c": Kind("corruptions.corruptions", None),
    "imagenet-a": Kind("variants.variant", ("images",)),
    "imagenet-r": Kind("variants.variant", ("images",)),
    "imagenet-sketch": Kind("variants.variant", ("images",)),
    "imagenet-v2": Kind("variants.variant", ("images",)),
    "c-bar": Kind("corruptions.corruptions", None),
    "fashion-mnist": Kind("fashion_mnist.fashion_mnist", IDX_FILES),
    "fashion-mnist-small": Kind("fashion_mnist.fashion_mnist", IDX_FILES, embedded=True),
}


def look_into(kind: str, archives: Mapping[str, Path], num_classes: int) -> "Contents":
    """List the contents of official archives, from their directories alone.

    Args:
        kind: of archives, as in the recipe.
        archives: paths by the kind's names for them.
        num_classes: expected number of classes.

    Raises:
        InputError: an archive is missing, damaged or not the official one.
    """
    module, function = KINDS[kind].reader.split(".")
    reader = getattr(import_module(f"folk.data.datasets.{module}"), function)
    contents: Contents = reader(kind, archives, num_classes)
    return contents
