"""Miniatures that replace the official archives in a smoke run."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from folk.data.datasets import miniature
from folk.data.datasets.kinds import KINDS, function_of
from folk.data.datasets.miniature import CLASSES, NUMBERS, VAL, StandIn
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_text
from folk.evidence.results.metrics.corruption import (
    ALEXNET_ERROR,
    ALEXNET_ERROR_EXTRA,
    C_BAR,
    SEVERITIES,
)

# Contents of each archive of ImageNet-C.
_IMAGENET_C = {
    "noise": [name for name in ALEXNET_ERROR if name.endswith("_noise")],
    "blur": [name for name in ALEXNET_ERROR if name.endswith("_blur")],
    "weather": ["snow", "frost", "fog", "brightness"],
    "digital": ["contrast", "elastic_transform", "pixelate", "jpeg_compression"],
    "extra": list(ALEXNET_ERROR_EXTRA),
}


def write_stand_in(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write the miniature of a kind.

    Args:
        kind: of a `prepare` recipe.
        files: the official file names by the kind's names for its archives.
        folder: folder of the miniature.

    Raises:
        InputError: no miniature of this kind, or of an archive of this name.
    """
    if kind == "folder":
        return StandIn(source=_folder(folder, _training_images()), splits=2, images=NUMBERS)
    if kind not in KINDS:
        raise InputError(f"no miniature of kind '{kind}'; a smoke run needs official archives")
    made: StandIn = function_of(KINDS[kind].stand_in)(kind, files, folder)
    return made


def imagenet(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write the three archives of ImageNet."""
    kit = miniature.devkit_files(CLASSES, list(range(1, VAL + 1)))
    val = miniature.validation_images(VAL)
    paths = miniature.imagenet(folder, _training_images(), val, kit)
    return StandIn(paths, splits=2, images=NUMBERS)


def ade20k(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write the zip of ADE20K."""
    zipped = miniature.write_zip(folder / files["images"], miniature.ade20k_files())
    return StandIn({"images": zipped}, None, 150, 2, {"train": 3, "val": 2})


def embedded(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Take an image of each class of what is embedded."""
    return StandIn(subset={"train_per_class": 1, "val_per_class": 1})


def few_label_list(path: Path) -> Path:
    """Write a list of four training images, as SimCLR's lists name them: a file name a line."""
    names = [name for files in _training_images().values() for name in files]
    write_text(path, "".join(f"{name}\n" for name in names[-VAL:]))
    return path


def _training_images() -> dict[str, dict[str, bytes]]:
    first, *others = CLASSES
    return miniature.imagenet_images((first,), 2) | miniature.imagenet_images(others, 1)


def _folder(folder: Path, train: Mapping[str, Mapping[str, bytes]]) -> Path:
    val = zip(CLASSES, miniature.validation_images(VAL).items(), strict=True)
    images = {
        f"train/{c}/{name}": data for c, files in train.items() for name, data in files.items()
    }
    images |= {f"val/{c}/{name}": data for c, (name, data) in val}
    for name, data in images.items():
        miniature.write_whole(folder / name, data)
    return folder


def corruptions(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write one image per split; classes take turns, so that each occurs."""
    paths, done = {}, 0
    for name, file in files.items():
        inside: Iterable[str] = C_BAR if kind == "c-bar" else _IMAGENET_C.get(name, ())
        images: dict[str, bytes] = {}
        for corruption in inside:
            for severity in SEVERITIES:
                wnids = (CLASSES[done % len(CLASSES)],)
                images |= miniature.corrupted([corruption], [severity], wnids)
                done += 1
        if not images or (kind == "c-bar" and len(files) > 1):
            raise InputError(f"no miniature of archive '{name}' of kind '{kind}'")
        paths[name] = _write_as(folder / file, images)
    return StandIn(paths, splits=done, images={"each": 1})


def variant(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write one image of each class; A and R have some of the classes only, V2 numbers them."""
    classes = CLASSES[:2] if kind in ("imagenet-a", "imagenet-r") else CLASSES
    names = [str(i) for i in range(len(classes))] if kind == "imagenet-v2" else classes
    images = {f"{kind}/{n}/{i}.jpg": miniature.image(200 + i) for i, n in enumerate(names)}
    path = _write_as(folder / files["images"], images)
    return StandIn({"images": path}, classes=len(classes), images={"val": len(classes)})


def _write_as(path: Path, files: dict[str, bytes]) -> Path:
    """Write in the format given by the official file's suffix."""
    if path.suffix == ".zip":
        return miniature.write_zip(path, files)
    return miniature.write_tar(path, files, "w:gz" if path.suffix == ".gz" else "w")
