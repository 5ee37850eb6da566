"""ImageNet-1K from the three archives of ILSVRC2012.

`train` is a tar of one tar per class, `val` a flat tar; `devkit` lists the classes of the
validation images. Keys, labels and shards are those of the same images in folders
`train/<wnid>/*` and `val/<wnid>/*`.

Source: the layout, as torchvision reads it: pytorch/vision, torchvision/datasets/imagenet.py
    (version 0.29.2).
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from folk.data.datasets.archives import Contents, Entry
from folk.data.datasets.members import Archive, Member, open_archive
from folk.evidence.core.errors import InputError, nearest

META = "data/meta.mat"
TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


@dataclass(frozen=True)
class Devkit:
    """Classes and validation labels from the development kit.

    Attributes:
        names: by WordNet id, in alphabetical order of the ids: the words of a class.
        truth: WordNet ids of the validation images, in the order of their names.
    """

    names: dict[str, str]
    truth: list[str]


def imagenet(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the contents of the archives; classes are in the order of their WordNet ids.

    Args:
        kind: `imagenet`.
        archives: `train`, `val` and `devkit`.
        num_classes: expected number of classes in the development kit.

    Raises:
        InputError: an archive is damaged, lacks a class, or does not belong to the others.
    """
    kit = read_devkit(archives["devkit"])
    if len(kit.names) != num_classes:
        raise InputError(
            f"{archives['devkit']}: expected {num_classes} classes (archive.classes), got "
            f"{len(kit.names)}; get the official archive"
        )
    label_of = {wnid: label for label, wnid in enumerate(kit.names)}
    with open_archive(archives["train"]) as train:
        _tars_by_wnid(train, kit)  # fail now, not after an hour
    with open_archive(archives["val"]) as val:
        _wnids_of_images(val, kit)

    def images() -> Iterator[Entry]:
        with open_archive(archives["train"]) as train:
            for wnid, tar in _tars_by_wnid(train, kit).items():
                yield from _images_of_class(train.tar_inside(tar), wnid, label_of[wnid])
        with open_archive(archives["val"]) as val:
            for wnid, file, member in sorted(_wnids_of_images(val, kit), key=lambda p: p[:2]):
                yield Entry(f"val/{wnid}/{file}", label_of[wnid], "val", val, member)

    return Contents(kind, list(kit.names.values()), images, wnids=list(kit.names))


def read_devkit(path: Path) -> Devkit:
    """Read classes and validation labels.

    Raises:
        InputError: the archive's tables are missing or invalid.
    """
    found: dict[str, bytes] = {}
    with open_archive(path) as archive:
        for member in archive.members():
            for wanted in (META, TRUTH):
                if f"/{member.name}".endswith(f"/{wanted}"):
                    found[wanted] = archive.read(member)
    for wanted in (META, TRUTH):
        if wanted not in found:
            raise InputError(f"{path}: missing {wanted}; get the official archive")
    try:
        import scipy.io  # only this archive needs it

        synsets = scipy.io.loadmat(io.BytesIO(found[META]), squeeze_me=True)["synsets"]
        leaves = [s for s in np.atleast_1d(synsets) if int(s["num_children"]) == 0]
        wnid_of = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in leaves}
        names = {str(s["WNID"]): str(s["words"]) for s in leaves}
        truth = [wnid_of[int(line)] for line in found[TRUTH].split()]
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path}: unreadable tables ({reason}); get the official archive"
        ) from error
    return Devkit(dict(sorted(names.items())), truth)


def _tars_by_wnid(train: Archive, kit: Devkit) -> dict[str, Member]:
    tars = {Path(member.name).stem: member for member in train.members()}
    for wnid, member in tars.items():
        if wnid not in kit.names:
            hint = nearest(wnid, kit.names) if len(kit.names) < 20 else ""
            raise InputError(f"{train.locate(member)}: unknown class (not in the devkit){hint}")
    lost = [wnid for wnid in kit.names if wnid not in tars]
    if lost:
        shown = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        raise InputError(
            f"{train.where}: missing tars of {len(lost)} classes: {shown}; get it again"
        )
    return {wnid: tars[wnid] for wnid in kit.names}


def _images_of_class(tar: Archive, wnid: str, label: int) -> Iterator[Entry]:
    files = sorted((_base_name(member), member) for member in tar.members())
    if not files:
        raise InputError(f"{tar.where}: no image in it; get the official archive")
    for file, member in files:
        yield Entry(f"train/{wnid}/{file}", label, "train", tar, member)


def _wnids_of_images(val: Archive, kit: Devkit) -> list[tuple[str, str, Member]]:
    files = sorted((_base_name(member), member) for member in val.members())
    if len(files) != len(kit.truth):
        raise InputError(
            f"{val.where}: expected {len(kit.truth)} images (labels in the devkit), got "
            f"{len(files)}; get the official archives"
        )
    return [(wnid, *file) for wnid, file in zip(kit.truth, files, strict=True)]


def _base_name(member: Any) -> str:
    return str(member.name.rpartition("/")[2])
