"""Imagenette and Imagewoof: ten classes of ImageNet each, in folders of one gzipped tar.

Source: fastai/imagenette, README.md: `train/<wnid>/*` and `val/<wnid>/*` below one folder.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from folk.data.datasets.archives import Contents, Entry
from folk.data.datasets.members import Archive, Member, open_archive
from folk.data.datasets.miniature import CLASSES, StandIn, image, write_tar
from folk.data.wnids import is_wnid
from folk.evidence.core.errors import InputError

SPLITS = ("train", "val")


def class_folders(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the directory of the tar; classes are in the order of their WordNet ids.

    Args:
        kind: `imagenette` or `imagewoof`.
        archives: `images`, the only one.
        num_classes: number of folders of classes.

    Raises:
        InputError: the archive is damaged or holds other folders.
    """
    path = archives["images"]
    with open_archive(path) as archive:
        places = [(split, wnid) for _, split, wnid in _places(archive)]
    classes = sorted({wnid for _, wnid in places})
    if len(classes) != num_classes:
        raise InputError(
            f"{path}: expected {num_classes} class folders (archive.classes), got {len(classes)}; "
            "get the official archive"
        )
    label_of = {wnid: label for label, wnid in enumerate(classes)}

    def images() -> Iterator[Entry]:
        with open_archive(path) as archive:
            for wanted in SPLITS:  # each in the order of the tar, which is the fast one
                for member, split, wnid in _places(archive):
                    if split == wanted:
                        key = f"{split}/{wnid}/{member.name.rpartition('/')[2]}"
                        yield Entry(key, label_of[wnid], split, archive, member)

    counts = {split: sum(of == split for of, _ in places) for split in SPLITS}
    return Contents(kind, classes, images, counts, wnids=classes)


def _places(archive: Archive) -> Iterator[tuple[Member, str, str]]:
    """Each image with its split and class; what else lies in the tar is passed over."""
    for member in archive.members():
        if not member.is_image:
            continue
        parts = member.name.split("/")
        if len(parts) < 3 or parts[-3] not in SPLITS or not is_wnid(parts[-2]):
            raise InputError(
                f"{archive.locate(member)}: not in train/<wnid>/ or val/<wnid>/; get the official "
                "archive"
            )
        yield member, parts[-3], parts[-2]


def stand_in(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write a miniature of the archive."""
    path = write_tar(folder / files["images"], miniature_files(f"{kind}2"), "w:gz")
    return StandIn({"images": path}, splits=2, images={"train": 5, "val": 4})


def miniature_files(top: str) -> dict[str, bytes]:
    """Make the files of the archive: two training images of the first class, one of the others."""
    made = {f"val/{wnid}/{wnid}_3.JPEG": image(50 + i) for i, wnid in enumerate(CLASSES)}
    made |= {f"train/{wnid}/{wnid}_1.JPEG": image(i) for i, wnid in enumerate(CLASSES)}
    made |= {f"train/{CLASSES[0]}/{CLASSES[0]}_2.JPEG": image(9)}
    made["noisy_labels.csv"] = b"path\n"
    return {f"{top}/{name}": data for name, data in made.items()}
