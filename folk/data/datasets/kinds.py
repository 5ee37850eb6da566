"""The table of official archives: the reader of each kind."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from folk.data.datasets.archives import Contents

EMBEDDED = Path(__file__).parent / "embedded"


class Kind(NamedTuple):
    """Reader of the archives of a kind.

    Attributes:
        reader: `module.function` in this package, by name, so that recipes are checked without
            NumPy. It takes the kind, the archives' paths by name and the expected number of
            classes, and returns `Contents`.
        stand_in: the function that writes miniatures for a smoke run, named the same way. It takes
            the kind, the official file names by name and a folder, and returns a `StandIn`.
        archives: names; None where there may be any number of archives.
        embedded: the archives ship with this package, in `embedded/<kind>`.
    """

    reader: str
    stand_in: str
    archives: tuple[str, ...] | None
    embedded: bool = False


ONE = ("images",)
IDX_FILES = ("train-images", "train-labels", "test-images", "test-labels")

KINDS = {
    "imagenet": Kind("imagenet.imagenet", "stand_ins.imagenet", ("train", "val", "devkit")),
    "ade20k": Kind("ade20k.ade20k", "stand_ins.ade20k", ONE),
    "imagenet-c": Kind("corruptions.corruptions", "stand_ins.corruptions", None),
    "imagenet-a": Kind("variants.variant", "stand_ins.variant", ONE),
    "imagenet-r": Kind("variants.variant", "stand_ins.variant", ONE),
    "imagenet-sketch": Kind("variants.variant", "stand_ins.variant", ONE),
    "imagenet-v2": Kind("variants.variant", "stand_ins.variant", ONE),
    "c-bar": Kind("corruptions.corruptions", "stand_ins.corruptions", None),
    "fashion-mnist": Kind("fashion_mnist.fashion_mnist", "fashion_mnist.stand_in", IDX_FILES),
    "fashion-mnist-small": Kind(
        "fashion_mnist.fashion_mnist", "stand_ins.embedded", IDX_FILES, embedded=True
    ),
    "cifar-10": Kind("cifar.cifar", "cifar.stand_in", ONE),
    "cifar-100": Kind("cifar.cifar", "cifar.stand_in", ONE),
    "stl-10": Kind("stl10.stl10", "stl10.stand_in", ONE),
    "tiny-imagenet-200": Kind("tiny_imagenet.tiny_imagenet", "tiny_imagenet.stand_in", ONE),
    "imagenette": Kind("class_folders.class_folders", "class_folders.stand_in", ONE),
    "imagewoof": Kind("class_folders.class_folders", "class_folders.stand_in", ONE),
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
    # The fingerprint of the stage's code follows import statements, not names in strings.
    from folk.data.datasets import (  # noqa: F401
        ade20k,
        cifar,
        class_folders,
        corruptions,
        fashion_mnist,
        imagenet,
        stl10,
        tiny_imagenet,
        variants,
    )

    contents: Contents = function_of(KINDS[kind].reader)(kind, archives, num_classes)
    return contents


def function_of(name: str) -> Any:
    """Import `module.function` of this package."""
    module, function = name.split(".")
    return getattr(import_module(f"folk.data.datasets.{module}"), function)
