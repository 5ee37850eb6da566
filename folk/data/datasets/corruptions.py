"""ImageNet-C and ImageNet-C-bar: the validation images, corrupted, at several severities.

Archives hold `<corruption>/<severity>/<wnid>/<image>`; every corruption at every severity becomes a
split of its own, such as `gaussian_noise-3`. The number counts severities from the weakest.

Source: hendrycks/robustness and facebookresearch/augmentation-corruption, the sets' own pages.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from folk.data.datasets.archives import Contents, Entry
from folk.data.datasets.members import Archive, Member, open_archive
from folk.data.wnids import is_wnid
from folk.evidence.core.errors import InputError


def corruptions(kind: str, archives: Mapping[str, Path], num_classes: int) -> Contents:
    """Read the contents of the archives; classes are in the order of their WordNet ids.

    Args:
        kind: `imagenet-c` or `c-bar`.
        archives: any number of them, by any names; no corruption may be in two.
        num_classes: number of class folders of all corruptions together.

    Raises:
        InputError: an archive is damaged or holds other folders.
    """
    severities: dict[str, set[str]] = {}
    holds: dict[str, Path] = {}
    sizes: Counter[tuple[str, str]] = Counter()
    wnids: set[str] = set()
    for path in archives.values():
        with open_archive(path) as archive:
            for _, corruption, severity, wnid in _places(archive):
                if holds.setdefault(corruption, path) != path:
                    raise InputError(
                        f"{path}: duplicate corruption '{corruption}', also in {holds[corruption]}"
                    )
                severities.setdefault(corruption, set()).add(severity)
                sizes[corruption, severity] += 1
                wnids.add(wnid)
    if len(wnids) != num_classes:
        raise InputError(
            f"{', '.join(map(str, archives.values()))}: expected {num_classes} classes "
            f"(archive.classes), got {len(wnids)}; get the official archives"
        )
    classes = sorted(wnids)
    label_of = {wnid: label for label, wnid in enumerate(classes)}
    split_of = {
        (corruption, severity): f"{corruption}-{rank}"
        for corruption, known in severities.items()
        for rank, severity in enumerate(sorted(known, key=float), start=1)
    }

    def images() -> Iterator[Entry]:
        for path in archives.values():
            with open_archive(path) as archive:
                for member, corruption, severity, wnid in _places(archive):
                    file = member.name.rpartition("/")[2]
                    key = f"{corruption}/{severity}/{wnid}/{file}"
                    split = split_of[corruption, severity]
                    yield Entry(key, label_of[wnid], split, archive, member)

    counts = {split_of[place]: count for place, count in sizes.items()}
    return Contents(kind, classes, images, counts, wnids=classes)


def _places(archive: Archive) -> Iterator[tuple[Member, str, str, str]]:
    """Each image with its corruption, severity and WordNet id."""
    for member in archive.members():
        if not member.is_image:
            continue
        parts = member.name.split("/")
        if len(parts) < 4 or not is_wnid(parts[-2]) or not _is_number(parts[-3]):
            raise InputError(
                f"{archive.locate(member)}: expected <corruption>/<severity>/<wnid>/<image>; "
                "get the official archive"
            )
        yield member, parts[-4], parts[-3], parts[-2]


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
