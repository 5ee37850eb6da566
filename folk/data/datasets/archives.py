"""Official archives as a prepared data set: every image is checked, its bytes stay unchanged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import UInt8

from folk.data.datasets.members import Member
from folk.data.decode import MAX_RATIO, check_image, decode_annotation, decode_image
from folk.data.store import Make, Source, SourceImage, encoded_png, store_images
from folk.evidence.core.errors import InputError

# Turns an annotation into ids, 255 = ignore; given the decoded one and its name.
Recode = Callable[[Any, Callable[[], str]], Any]


class Reader(Protocol):
    """Reader of the files of an archive."""

    def read(self, member: Member) -> bytes:
        """Read the encoded image."""

    def locate(self, member: Member) -> str:
        """Describe a member by archive and name, for an error."""


@dataclass(frozen=True)
class RawImages:
    """Images that are stored as pixels and leave as PNG.

    Attributes:
        where: the file, for an error.
        pixels: of the image at a member's place.
    """

    where: str
    pixels: Callable[[Any], UInt8[np.ndarray, "h w *colors"]]

    def read(self, member: Member) -> bytes:
        """Encode an image, gray or RGB."""
        return encoded_png(self.pixels(member.place))

    def locate(self, member: Member) -> str:
        """Describe an image by file and name."""
        return f"{self.where}: {member.name}"


class Entry(NamedTuple):
    """An image in its archive, with its annotation from the same archive."""

    key: str
    label: int  # -1 when unlabeled
    split: str
    archive: Reader
    image: Member
    annotation: Member | None = None


@dataclass(frozen=True)
class Contents:
    """Contents of a set of archives.

    Attributes:
        kind: of archives, as in the recipe.
        classes: names, in the order of the labels.
        images: yields the images; every call gives the same ones in the same order.
        counts: images by split, if the archive's directory has them; else None.
        wnids: WordNet ids of the classes, None where the archive has none.
        segmentation_classes: names of the ids in annotations, None without annotations.
        recode: None without annotations.
    """

    kind: str
    classes: Sequence[str]
    images: Callable[[], Iterator[Entry]]
    counts: Mapping[str, int] | None = None
    wnids: Sequence[str] | None = None
    segmentation_classes: Sequence[str] | None = None
    recode: Recode | None = None


def store_archives(
    contents: Contents,
    folder: Path,
    *,
    name: str,
    sources: Sequence[Mapping[str, Any]],
    identity: str,
    expected: Mapping[str, int] | None = None,
    num_splits: int | None = None,
    threads: int | None = None,
    confirm: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Check every image by decoding it, and store it.

    Args:
        contents: the images to store.
        folder: folder of the data set.
        name: name of the data set in tables.
        sources: name, sha256 and bytes of each archive.
        identity: as of `store_images`.
        expected: images by split in whole archives; `each` means all splits.
        num_splits: number of splits in whole archives.
        threads: decoding threads; None takes one per core.
        confirm: as of `store_images`.

    Returns:
        number of images by split.

    Raises:
        InputError: an image that cannot be decoded, a duplicate image, or an unexpected number
            of images or splits.
    """

    def images(start: int) -> Iterator[Make]:
        for entry in islice(contents.images(), start, None):
            # Read in this thread, which walks the archive; decoded in another.
            image = entry.archive.read(entry.image)
            marks = None if entry.annotation is None else entry.archive.read(entry.annotation)
            yield partial(_checked, entry, image, marks, contents.recode)

    check = partial(check_counts, expected or {}, num_splits)
    if contents.counts is not None:  # hours before the last image is read
        check(contents.counts)
    source = Source(
        contents.kind,
        contents.classes,
        images,
        lambda _manifest: sources,
        segmentation_classes=contents.segmentation_classes,
        wnids=contents.wnids,
    )
    return store_images(
        source,
        folder,
        name=name,
        identity=identity,
        threads=threads,
        check=check,
        confirm=confirm,
    )


def _checked(
    entry: Entry, image: bytes, annotation: bytes | None, recode: Recode | None
) -> SourceImage:
    def where() -> str:
        return entry.archive.locate(entry.image)

    if annotation is None:
        check_image(image, where=where)
        return SourceImage.digested(entry.key, entry.label, entry.split, image)
    assert entry.annotation is not None
    assert recode is not None
    place = entry.annotation

    def where_annotated() -> str:
        return entry.archive.locate(place)

    size = decode_image(image, where=where).size
    marks = decode_annotation(annotation, where=where_annotated)
    if marks.size != size:
        raise InputError(
            f"{where_annotated()}: expected {size} pixels as in the image, got {marks.size}; "
            "get the official archive"
        )
    if max(size) > MAX_RATIO * min(size):
        raise InputError(
            f"{where()}: {size[0]} x {size[1]} pixels; for segmentation a side may be at most "
            f"{MAX_RATIO} times the other; remove it"
        )
    ids = encoded_png(recode(marks, where_annotated))
    return SourceImage.digested(entry.key, entry.label, entry.split, image, ids)


def check_counts(
    expected: Mapping[str, int], num_splits: int | None, counts: Mapping[str, int]
) -> None:
    """Compare numbers of images by split with those of whole archives.

    Args:
        expected: images by split; `each` means all splits.
        num_splits: number of splits; None takes any.
        counts: what the archives hold.

    Raises:
        InputError: another number of images or splits.
    """
    if num_splits is not None and len(counts) != num_splits:
        raise InputError(
            f"archives: expected {num_splits} splits (archive.splits), got {len(counts)}; an "
            "archive is incomplete or not the official one"
        )
    wanted = {k: n for k, n in expected.items() if k != "each"}
    if "each" in expected:
        wanted = dict.fromkeys(counts, expected["each"]) | wanted
    for split, number in wanted.items():
        if counts.get(split, 0) != number:
            raise InputError(
                f"archives: expected {number} images of split '{split}' (archive.images), got "
                f"{counts.get(split, 0)}; an archive is incomplete or not the official one"
            )
