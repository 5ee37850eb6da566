"""Tiny ImageNet: 200 classes of ImageNet at 64 x 64 pixels, in one zip.

Labels of the validation images are in `val/val_annotations.txt`; the test images have none and
are left out.

Source: the archive's own layout, as ContinualAI/avalanche@0a08720 reads it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from folk.data.datasets.archives import Contents, Entry
from folk.data.datasets.members import Archive, Member, open_archive
from folk.data.datasets.miniature import CLASSES, StandIn, image, write_zip
from folk.evidence.core.errors import InputError

TOP = "tiny-imagenet-200"
ANNOTATIONS = "val/val_annotations.txt"


def tiny_imagenet(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the directory of the zip; classes are in the order of their WordNet ids.

    Args:
        kind: `tiny-imagenet-200`.
        archives: `images`, the only one.
        num_classes: number of lines in `wnids.txt`.

    Raises:
        InputError: the archive is damaged, or is not the official one.
    """
    path = archives["images"]
    with open_archive(path) as archive:
        files = {member.name.removeprefix(f"{TOP}/"): member for member in archive.members()}
        wnids = sorted(_lines(archive, files, "wnids.txt"))
        if len(wnids) != num_classes:
            raise InputError(
                f"{path}: expected {num_classes} classes (archive.classes), got {len(wnids)}"
            )
        words = dict(line.split("\t", 1) for line in _lines(archive, files, "words.txt"))
        val = {
            line.split("\t")[0]: line.split("\t")[1] for line in _lines(archive, files, ANNOTATIONS)
        }
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    found: list[tuple[str, str, str, Member]] = []  # split, id, file name
    for name, member in files.items():
        parts = name.split("/")
        if not member.is_image or parts[0] not in ("train", "val"):
            continue
        wnid = parts[1] if parts[0] == "train" else val.get(parts[-1], "none")
        if wnid not in label_of:
            raise InputError(
                f"{path}: {name}: unknown class '{wnid}', not in wnids.txt; get the official "
                "archive"
            )
        found.append((parts[0], wnid, parts[-1], member))
    found.sort(key=lambda place: place[:3])

    def images() -> Iterator[Entry]:
        with open_archive(path) as archive:
            for split, wnid, file, member in found:
                yield Entry(f"{split}/{wnid}/{file}", label_of[wnid], split, archive, member)

    counts = {split: sum(place[0] == split for place in found) for split in ("train", "val")}
    names = [words.get(wnid, wnid) for wnid in wnids]
    return Contents(kind, names, images, counts, wnids=wnids)


def _lines(archive: Archive, files: Mapping[str, Member], name: str) -> list[str]:
    if name not in files:
        raise InputError(f"{archive.where}: missing {TOP}/{name}; get the official archive")
    return archive.read(files[name]).decode(errors="replace").split("\n")[:-1]


def stand_in(kind: str, files: Mapping[str, str], folder: Path) -> StandIn:
    """Write a miniature of the archive."""
    path = write_zip(folder / files["images"], miniature_files())
    return StandIn({"images": path}, splits=2, images={"train": 5, "val": 4})


def miniature_files() -> dict[str, bytes]:
    """Make the files of the archive: two images of the first class, one of the others."""
    train = [(CLASSES[0], 0), *((wnid, 1) for wnid in CLASSES)]
    val = [(f"val_{i}.JPEG", wnid) for i, wnid in enumerate(reversed(CLASSES))]
    made = {
        "wnids.txt": "".join(f"{wnid}\n" for wnid in reversed(CLASSES)).encode(),
        "words.txt": "".join(f"{wnid}\tword {wnid}, other\n" for wnid in CLASSES).encode(),
        ANNOTATIONS: "".join(f"{file}\t{wnid}\t0\t0\t9\t9\n" for file, wnid in val).encode(),
        "test/images/test_0.JPEG": image(300, size=(64, 64)),
    }
    for seed, (wnid, number) in enumerate(train):
        made[f"train/{wnid}/images/{wnid}_{number}.JPEG"] = image(seed, size=(64, 64))
        made[f"train/{wnid}/{wnid}_boxes.txt"] = b"about"
    for seed, (file, _) in enumerate(val):
        made[f"val/images/{file}"] = image(100 + seed, size=(64, 64))
    return {f"{TOP}/{name}": data for name, data in made.items()}
