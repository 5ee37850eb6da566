"""ImageNet-1K from the three archives of ILSVRC2012.

`train` is a tar of one tar per class, `val` a flat tar; `devkit` lists the classes of the
validation images. Keys, labels and shards are those of the same images in folders
`train/<wnid>/*` and `val/<wnid>/*`.

Source: the layout, as torchvision reads it: pytorch/vision, torchvision/datasets/imagenet.py
    (version 0.29.2).
"""

import io
from collections.abc import Iterator, Mapping
from operator import attrgetter, itemgetter
from pathlib import Path

import numpy as np

from folk.data.datasets.members import Member, open_archive, tar_files
from folk.data.datasets.source import Entry, Source, check_classes
from folk.evidence.core.errors import InputError, nearest

META = "data/meta.mat"
TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


def imagenet(kind: str, archives: Mapping[str, Path], num_classes: int) -> Source:
    """Read the directories of the archives; classes are in the order of their WordNet ids.

    Args:
        kind: `imagenet`.
        archives: `train`, `val` and `devkit`.
        num_classes: expected number of classes in the development kit.

    Raises:
        InputError: an archive is damaged, lacks a class, or does not belong to the others.
    """
    names, truth = read_devkit(archives["devkit"])
    wnids = list(names)
    check_classes(archives["devkit"], num_classes, wnids)

    def tars(files: Iterator[Member]) -> list[Member]:
        """The tar of each class."""
        tar_of = {Path(member.file).stem: member for member in files}
        for wnid, member in tar_of.items():
            if wnid not in names:
                hint = nearest(wnid, names) if len(names) < 20 else ""
                raise InputError(f"{member.where}: unknown class (not in the devkit){hint}")
        lost = [wnid for wnid in names if wnid not in tar_of]
        if lost:
            shown = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
            raise InputError(
                f"{archives['train']}: missing tars of {len(lost)} classes: {shown}; get it again"
            )
        return [tar_of[wnid] for wnid in names]

    def labeled(files: Iterator[Member]) -> list[tuple[str, Member]]:
        """Each validation image with its WordNet id."""
        found = sorted(files, key=attrgetter("file"))
        if len(found) != len(truth):
            raise InputError(
                f"{archives['val']}: expected {len(truth)} images (labels in the devkit), got "
                f"{len(found)}; get the official archives"
            )
        return list(zip(truth, found, strict=True))

    with open_archive(archives["train"]) as files:
        tars(files)  # fail now, not after an hour
    with open_archive(archives["val"]) as files:
        labeled(files)

    def images() -> Iterator[Entry]:
        with open_archive(archives["train"]) as files:
            for label, tar in enumerate(tars(files)):
                inside = sorted(tar_files(tar.open(), tar.where), key=attrgetter("file"))
                if not inside:
                    raise InputError(f"{tar.where}: no image in it; get the official archive")
                for member in inside:
                    yield Entry(f"train/{wnids[label]}/{member.file}", label, "train", member)
        with open_archive(archives["val"]) as files:
            for wnid, member in sorted(labeled(files), key=itemgetter(0)):  # else by name
                yield Entry(f"val/{wnid}/{member.file}", wnids.index(wnid), "val", member)

    return Source(kind, list(names.values()), images, wnids=wnids)


def read_devkit(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read the development kit.

    Returns:
        words of each class by WordNet id, in alphabetical order of the ids; and the WordNet ids of
        the validation images, in the order of their names.

    Raises:
        InputError: the archive's tables are missing or invalid.
    """
    found: dict[str, bytes] = {}
    with open_archive(path) as files:
        for member in files:
            for wanted in (META, TRUTH):
                if f"/{member.name}".endswith(f"/{wanted}"):
                    found[wanted] = member.read()
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
    return dict(sorted(names.items())), truth
