"""ImageNet-A, R, Sketch and V2: other images of ImageNet's classes, one folder per class.

Everything becomes one split, `val`. A and R have 200 of the classes each, by WordNet id;
`folk.data.wnids.positions_among` finds them among those a classifier was trained on. V2 numbers its
folders by the order of ImageNet's WordNet ids, so `10` comes after `9` and labels are the numbers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from folk.data.datasets.archives import Contents, Entry
from folk.data.datasets.members import Archive, Member, open_archive
from folk.data.wnids import is_wnid
from folk.evidence.core.errors import InputError


def variant(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the contents of the archive; classes are its folders.

    Args:
        kind: `imagenet-a`, `imagenet-r`, `imagenet-sketch` or `imagenet-v2`.
        archives: `images`, the only one.
        num_classes: number of folders.

    Raises:
        InputError: the archive is damaged or holds other folders.
    """
    path = archives["images"]
    numbered = kind == "imagenet-v2"
    with open_archive(path) as archive:
        sizes = Counter(folder for _, folder in _places(archive, numbered))
    classes = sorted(sizes, key=int) if numbered else sorted(sizes)
    whole = [str(i) for i in range(num_classes)] if numbered else classes
    if len(classes) != num_classes or classes != whole:
        raise InputError(
            f"{path}: expected {num_classes} class folders (archive.classes), got {len(classes)}"
            + (f", numbered from 0 to {num_classes - 1}" if numbered else "")
            + "; get the official archive"
        )
    label_of = {folder: label for label, folder in enumerate(classes)}

    def images() -> Iterator[Entry]:
        with open_archive(path) as archive:
            for member, folder in _places(archive, numbered):
                key = f"val/{folder}/{member.name.rpartition('/')[2]}"
                yield Entry(key, label_of[folder], "val", archive, member)

    counts = {"val": sizes.total()}
    return Contents(kind, classes, images, counts, wnids=None if numbered else classes)


def _places(archive: Archive, numbered: bool) -> Iterator[tuple[Member, str]]:
    """Each image with the folder that names its class."""
    for member in archive.members():
        if not member.is_image:
            continue
        folder = member.name.rpartition("/")[0].rpartition("/")[2]
        if not (folder.isdecimal() if numbered else is_wnid(folder)):
            named = "numbers" if numbered else "WordNet ids"
            raise InputError(
                f"{archive.locate(member)}: not in a class folder, which are named by {named}"
            )
        yield member, folder
