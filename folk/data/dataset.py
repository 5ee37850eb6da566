"""Torch data set and loader over a table of encoded images."""

import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from folk.data.decode import decode_annotation
from folk.data.joint import SegmentEvalTransform, SegmentTransform
from folk.data.pixels import Pixels, decode_pixels, stacked
from folk.data.sampler import Draw, EpochSampler
from folk.data.shards import ImageTable
from folk.data.transforms import Transform
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.segmentation import IGNORE

__all__ = ["Batches", "EpochSampler", "ImageDataset", "collate", "loader"]

Item = dict[str, Any]
# A socket's path has 107 characters at most; multiprocessing adds 32 to the temporary folder.
LONGEST_TEMP_FOLDER = 75


class ImageDataset(Dataset[Item]):
    """Map-style data set whose randomness depends on (seed, epoch, index, copy) alone.

    Neither the number of loading processes, nor their order, nor a resumed run changes what an
    image looks like. An item is `{"image": uint8 tensor or list of views, "label": int,
    "index": int}`, with "annotation" for segmentation and "colors" where they are left to the
    device; the index counts in this data set.
    """

    def __init__(
        self,
        table: ImageTable,
        transform: Transform | SegmentTransform | SegmentEvalTransform,
        *,
        seed: int = 0,
        num_classes: int | None = None,
        num_segmentation_classes: int | None = None,
        keep_keys: Collection[str] | None = None,
        cache_bytes: int = 0,
    ) -> None:
        """Wrap a table of images.

        Args:
            table: the encoded images.
            transform: a joint one when `num_segmentation_classes` is given, else a simple one.
            seed: of everything random.
            num_classes: each label must lie in [0, num_classes); None lets all labels pass.
            num_segmentation_classes: annotations are read, and their ids must lie in
                [0, num_segmentation_classes) or be 255.
            keep_keys: keep these images only, in the order of the table.
            cache_bytes: images of one common size are decoded once, here, and kept in memory as
                uint8 when all of them (annotations included) fit in so many bytes. Loading
                processes made by fork share that memory; others decode again at their start.

        Raises:
            InputError: a label outside the classes, a missing annotation, a key that does not
                exist, no image left; with a cache, an image that cannot be decoded.
        """
        if keep_keys is not None:
            table = _kept(table, keep_keys)
        if num_classes is not None:
            _check_labels(table, num_classes)
        self.table = table
        self._transform: Any = transform
        self._seed = seed
        self._num_segmentation_classes = num_segmentation_classes
        self._labels = table.labels()
        self._cache_bytes = cache_bytes
        self._fill_cache()

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int | Draw) -> Item:
        """Read one image; without a `Draw`, as in epoch 0.

        Raises:
            InputError: the bytes are not a whole image, or the annotation has another size; names
                key and shard.
        """
        epoch, place, copy = index if isinstance(index, Draw) else Draw(0, index)
        # The first copy has the seed of an image without repeats.
        rng = np.random.default_rng((self._seed, epoch, place, *([copy] if copy else [])))
        item: Item = {"label": int(self._labels[place]), "index": place}
        if self._num_segmentation_classes is None:
            made = self._transform(self._image(place), rng)
            if isinstance(made, tuple):
                item["image"], item["colors"] = made
            else:
                item["image"] = made
        else:
            pixels, annotation = self._image(place), self._annotation(place)
            if annotation.size != (size := (pixels.shape[2], pixels.shape[1])):
                raise InputError(
                    f"{self._where(place)}: annotation size {annotation.size} differs from image "
                    f"size {size}; prepare the data set again"
                )
            item["image"], item["annotation"] = self._transform(pixels, annotation, rng)
        return item

    def labels(self) -> np.ndarray:
        """All labels, in the order of the indices."""
        return self._labels

    def keys(self) -> list[str]:
        """All keys, in the order of the indices."""
        return self.table.keys()

    def __getstate__(self) -> dict[str, Any]:
        # A copy for another process: bytes travel as paths, the cache is filled there.
        return self.__dict__ | {"_images": None, "_annotations": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._fill_cache()

    def _image(self, index: int) -> Pixels:
        if self._images is not None:
            return self._images[index].permute(2, 0, 1)
        return self._decoded_image(index)

    def _annotation(self, index: int) -> Image.Image:
        if self._annotations is not None:
            return Image.fromarray(self._annotations[index])
        return self._decoded_annotation(index)

    def _decoded_image(self, index: int) -> Pixels:
        return decode_pixels(self.table.image_bytes(index), where=lambda: self._where(index))

    def _decoded_annotation(self, index: int) -> Image.Image:
        data = self.table.annotation_bytes(index)
        if data is None:
            raise InputError(
                f"{self._where(index)}: missing annotation; segmentation needs one for each"
            )
        annotation = decode_annotation(data, where=lambda: self._where(index))
        ids = np.asarray(annotation)
        wrong = ids[(ids >= (self._num_segmentation_classes or 0)) & (ids != IGNORE)]
        if wrong.size:
            raise InputError(
                f"{self._where(index)}: invalid annotation class id {wrong.max()}; expected 0 to "
                f"{(self._num_segmentation_classes or 0) - 1} or {IGNORE}"
            )
        return annotation

    def _where(self, index: int) -> str:
        return f"{self.table.shard(index)}: {self.table.key(index)}"

    def _fill_cache(self) -> None:
        self._images: UInt8[Tensor, "n h w 3"] | None = None
        self._annotations: UInt8[np.ndarray, "n h w"] | None = None
        if not self._cache_bytes:
            return
        _, height, width = self._decoded_image(0).shape
        channels = 3 if self._num_segmentation_classes is None else 4
        if len(self) * height * width * channels > self._cache_bytes:
            return
        images = torch.empty((len(self), height, width, 3), dtype=torch.uint8)
        annotations = np.empty((len(self), height, width), dtype=np.uint8)
        for index in range(len(self)):
            image = self._decoded_image(index)
            if image.shape[1:] != (height, width):
                return
            images[index] = image.permute(1, 2, 0)
            if channels == 4:
                annotation = self._decoded_annotation(index)
                if annotation.size != (width, height):
                    return
                annotations[index] = np.asarray(annotation)
        self._images = images
        self._annotations = annotations if channels == 4 else None


def collate(items: Sequence[Item]) -> dict[str, Any]:
    """Stack items to a batch: "image" a tensor or a list of views, the others tensors."""
    first = items[0]["image"]
    image: Tensor | list[Tensor]
    if isinstance(first, list):
        image = [stacked(list(of)) for of in zip(*(item["image"] for item in items), strict=True)]
    else:
        image = stacked([item["image"] for item in items])
    batch: dict[str, Any] = {
        "image": image,
        "label": torch.tensor([item["label"] for item in items]),
        "index": torch.tensor([item["index"] for item in items]),
    }
    for name in ("annotation", "colors"):
        if name in items[0]:
            batch[name] = torch.stack([item[name] for item in items])
    return batch


class Batches:
    """The batches of an epoch; iterate again after `sampler.set_epoch` for the next."""

    def __init__(self, batches: Any, sampler: EpochSampler) -> None:
        self._batches = batches
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self._batches
        except InputError as error:
            # torch puts the traceback of the loading process in front of the one line we want.
            line = str(error).strip().splitlines()[-1]
            raise InputError(line.removeprefix(f"{InputError.__module__}.InputError: ")) from error


def loader(
    dataset: ImageDataset,
    sampler: EpochSampler,
    *,
    workers: int = 0,
    pin_memory: bool = False,
) -> Batches:
    """Load batches in a sampler's order; their content does not depend on `workers`.

    Args:
        dataset: the images.
        sampler: the order.
        workers: loading processes, kept over epochs; 0 loads in this process.
        pin_memory: for a GPU that copies while it computes.

    Raises:
        InputError: loading processes and a temporary folder whose name is too long for their
            sockets.
    """
    if workers and len(os.fsencode(tempfile.gettempdir())) > LONGEST_TEMP_FOLDER:
        raise InputError(
            f"TMPDIR: {tempfile.gettempdir()}: expected at most {LONGEST_TEMP_FOLDER} characters, "
            "for the sockets of loading processes; set TMPDIR=/tmp, or runtime.workers of the "
            "recipe to 0"
        )
    return Batches(
        DataLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            # Its own generator: the loader must not draw from the one that a checkpoint stores.
            generator=torch.Generator().manual_seed(0),
        ),
        sampler,
    )


def _kept(table: ImageTable, keep_keys: Collection[str]) -> ImageTable:
    wanted = set(keep_keys)
    keys = table.keys()
    rows = np.flatnonzero([key in wanted for key in keys])
    unknown = sorted(wanted - {keys[row] for row in rows})
    if unknown:
        shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise InputError(
            f"{table.shards[0].parent}: {len(unknown)} unknown keys in the split: "
            f"{shown}; draw the split from this data set"
        )
    if not len(rows):
        raise InputError(f"{table.shards[0].parent}: the split is empty; draw a larger one")
    return table.select(rows)


def _check_labels(table: ImageTable, num_classes: int) -> None:
    labels = table.labels()
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        index = int(wrong[0])
        raise InputError(
            f"{table.shard(index)}: {table.key(index)}: invalid label {labels[index]}; expected "
            f"0 to {num_classes - 1}"
        )
