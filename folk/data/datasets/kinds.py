"""The table of official archives: the reader of each kind."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from folk.data.datasets.source import Source

EMBEDDED = Path(__file__).parent / "embedded"


class Kind(NamedTuple):
    """Reader of the archives of a kind.

    Attributes:
        reader: `module.function` in this package, by name, so that recipes are checked without
            NumPy. It takes the kind, the archives' paths by name and the expected number of
            classes, and returns a `Source`.
        archives: names; None where there may be any number of archives.
        embedded: the archives ship with this package, in `embedded/<kind>`.
    """

    reader: str
    archives: tuple[str, ...] | None = ("images",)
    embedded: bool = False


IDX_FILES = ("train-images", "train-labels", "test-images", "test-labels")

KINDS = {
    "imagenet": Kind("imagenet.imagenet", ("train", "val", "devkit")),
    "ade20k": Kind("ade20k.ade20k"),
    "imagenet-c": Kind("folders.class_folders", None),
    "imagenet-a": Kind("folders.class_folders"),
    "imagenet-r": Kind("folders.class_folders"),
    "imagenet-sketch": Kind("folders.class_folders"),
    "imagenet-v2": Kind("folders.class_folders"),
    "c-bar": Kind("folders.class_folders", None),
    "fashion-mnist": Kind("arrays.fashion_mnist", IDX_FILES),
    "fashion-mnist-small": Kind("arrays.fashion_mnist", IDX_FILES, embedded=True),
    "cifar-10": Kind("arrays.cifar"),
    "cifar-100": Kind("arrays.cifar"),
    "stl-10": Kind("arrays.stl10"),
    "tiny-imagenet-200": Kind("folders.tiny_imagenet"),
    "imagenette": Kind("folders.class_folders"),
    "imagewoof": Kind("folders.class_folders"),
}


def read_archives(kind: str, archives: Mapping[str, Path], num_classes: int) -> "Source":
    """List the images of official archives, from their directories alone.

    Args:
        kind: of archives, as in the recipe.
        archives: paths by the kind's names for them.
        num_classes: expected number of classes.

    Raises:
        InputError: an archive is missing, damaged or not the official one.
    """
    # The fingerprint of the stage's code follows import statements, not names in strings.
    from folk.data.datasets import ade20k, arrays, folders, imagenet  # noqa: F401

    module, function = KINDS[kind].reader.split(".")
    read = getattr(import_module(f"folk.data.datasets.{module}"), function)
    source: Source = read(kind, archives, num_classes)
    return source
