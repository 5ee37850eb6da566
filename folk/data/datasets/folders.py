"""Archives with one folder for each class, whose path also gives the split.

Source: the layouts, as on the pages of the sets: fastai/imagenette; hendrycks/robustness,
    natural-adv-examples and imagenet-r; HaohanWang/ImageNet-Sketch; modestyachts/ImageNetV2;
    facebookresearch/augmentation-corruption. Tiny ImageNet, as ContinualAI/avalanche@0a08720 reads
    it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from folk.data.datasets.members import Member, open_archive
from folk.data.datasets.source import Entry, Source, check_classes
from folk.evidence.core.errors import InputError

# The end of each image's path. Without a split in it, all images are for validation.
PATHS = {
    "imagenette": "<split>/<wnid>/<image>",
    "imagewoof": "<split>/<wnid>/<image>",
    "imagenet-a": "<wnid>/<image>",
    "imagenet-r": "<wnid>/<image>",
    "imagenet-sketch": "<wnid>/<image>",
    "imagenet-v2": "<number>/<image>",
    "imagenet-c": "<corruption>/<severity>/<wnid>/<image>",
    "c-bar": "<corruption>/<severity>/<wnid>/<image>",
}
_PARTS = {
    "split": "train|val",
    "wnid": r"n\d{8}",
    "number": r"\d+",
    "corruption": "[^/]+",
    "severity": r"\d+(\.\d+)?",
    "image": "[^/]+",
}


def class_folders(kind: str, archives: Mapping[str, Path], num_classes: int) -> Source:
    """Read the directories of the archives; classes are in the order of their WordNet ids.

    V2 numbers its folders by the order of ImageNet's WordNet ids, so `10` comes after `9` and
    labels are the numbers. A and R have 200 of the classes each; `folk.data.wnids.positions_among`
    finds them among those a classifier was trained on. Every corruption at every severity is a
    split of its own, such as `gaussian_noise-3`, with severities counted from the weakest.

    Args:
        kind: a key of `PATHS`.
        archives: any number of them, by any names; no corruption may be in two.
        num_classes: number of class folders of all archives together.

    Raises:
        InputError: an archive is damaged or holds other folders.
    """
    sizes: Counter[tuple[str, ...]] = Counter()  # of each split, before severities are counted
    holds: dict[str, Path] = {}
    found: set[str] = set()
    for path in archives.values():
        for _, split, cls in _images(kind, path):
            sizes[split] += 1
            found.add(cls)
            if len(split) > 1 and holds.setdefault(split[0], path) != path:
                raise InputError(
                    f"{path}: duplicate corruption '{split[0]}', also in {holds[split[0]]}"
                )
    is_numbered = kind == "imagenet-v2"
    classes = sorted(found, key=int) if is_numbered else sorted(found)
    check_classes(", ".join(map(str, archives.values())), num_classes, classes)
    if is_numbered and classes != [str(number) for number in range(num_classes)]:
        raise InputError(f"{path}: class folders are not numbered from 0 to {num_classes - 1}")
    label_of = {cls: label for label, cls in enumerate(classes)}
    name_of = {split: _name(split, sizes) for split in sizes}
    # Training first, each in the order of the archive, which is the fast one.
    passes = [{split} for split in sorted(sizes)] if "<split>" in PATHS[kind] else [{*sizes}]

    def images() -> Iterator[Entry]:
        for wanted in passes:
            for path in archives.values():
                for member, split, cls in _images(kind, path):
                    if split in wanted:
                        key = "/".join([*split, cls, member.file])
                        yield Entry(key, label_of[cls], name_of[split], member)

    counts = {
        name_of[split]: sizes[split] for wanted in passes for split in sizes if split in wanted
    }
    return Source(kind, classes, images, counts, wnids=None if is_numbered else classes)


def _name(split: tuple[str, ...], known: Mapping[tuple[str, ...], int]) -> str:
    """Name a split; of a corruption's severities its place among them."""
    if len(split) == 1:
        return split[0]
    severities = sorted((other[1] for other in known if other[0] == split[0]), key=float)
    return f"{split[0]}-{severities.index(split[1]) + 1}"


def _images(kind: str, path: Path) -> Iterator[tuple[Member, tuple[str, ...], str]]:
    """Each image with its split and class; a split is a name, or a corruption and a severity."""
    pattern = re.sub(r"<(\w+)>", lambda part: f"(?P{part[0]}{_PARTS[part[1]]})", PATHS[kind])
    with open_archive(path) as files:
        for member in files:
            if not member.is_image:
                continue
            match = re.fullmatch(f"(.*/)?{pattern}", member.name)
            if match is None:
                raise InputError(
                    f"{member.where}: expected a path that ends in {PATHS[kind]}; get the official "
                    "archive"
                )
            parts = match.groupdict()
            cls = parts.get("wnid") or parts["number"]
            if "corruption" in parts:
                yield member, (parts["corruption"], parts["severity"]), cls
            else:
                yield member, (parts.get("split", "val"),), cls


TINY = "tiny-imagenet-200"


def tiny_imagenet(kind: str, archives: Mapping[str, Path], num_classes: int) -> Source:
    """Read the directory of the zip; classes are in the order of their WordNet ids.

    Labels of the validation images are in a list; the test images have none and are left out.

    Args:
        kind: `tiny-imagenet-200`.
        archives: `images`, the only one.
        num_classes: number of lines in `wnids.txt`.

    Raises:
        InputError: the archive is damaged, or is not the official one.
    """
    path = archives["images"]
    with open_archive(path) as listed:
        files = {member.name.removeprefix(f"{TINY}/"): member for member in listed}

        def lines(name: str) -> list[list[str]]:
            if name not in files:
                raise InputError(f"{path}: missing {TINY}/{name}; get the official archive")
            text = files[name].read().decode(errors="replace")
            return [line.split("\t") for line in text.split("\n")[:-1]]

        wnids = sorted(cells[0] for cells in lines("wnids.txt"))
        check_classes(path, num_classes, wnids)
        words = {cells[0]: cells[1] for cells in lines("words.txt")}
        val = {cells[0]: cells[1] for cells in lines("val/val_annotations.txt")}
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    places = []  # split, class, file name, path
    for name, member in files.items():
        split, _, rest = name.partition("/")
        if member.is_image and split in ("train", "val"):
            wnid = rest.split("/")[0] if split == "train" else val.get(member.file, "none")
            if wnid not in label_of:
                raise InputError(
                    f"{path}: {name}: unknown class '{wnid}', not in wnids.txt; get the official "
                    "archive"
                )
            places.append((split, wnid, member.file, member.name))
    places.sort()

    def images() -> Iterator[Entry]:
        with open_archive(path) as listed:
            member_of = {member.name: member for member in listed}
            for split, wnid, file, name in places:
                yield Entry(f"{split}/{wnid}/{file}", label_of[wnid], split, member_of[name])

    counts = {split: sum(place[0] == split for place in places) for split in ("train", "val")}
    return Source(kind, [words.get(w, w) for w in wnids], images, counts, wnids=wnids)
