"""Batches from a loading process: our shards against files in folders and webdataset's archives."""

import io
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, default_collate
from torchvision.datasets import ImageFolder

from folk.data.dataset import EpochSampler, ImageDataset, collate, loader
from folk.data.pixels import Pixels, decode_pixels
from folk.data.shards import ImageTable
from tests.bench.data import CLASSES, Twice, torchvision_mfm, views_of, write_folder, write_table
from tests.bench.measure import Row, Skipped
from tests.bench.peers import Work, install, process, rows_of
from tests.bench.photographs import photographs

NAME = "an epoch, two views, MFM's"
IMAGES, BATCH = 96, 32
PACKAGES = ("webdataset==1.0.2", "braceexpand==0.1.7")
WORKER: dict[str, Any] = {"num_workers": 1, "persistent_workers": True}
ROUNDS = 3


def rows() -> list[Row | Skipped]:
    """Each peer as its users write it, with torchvision's transforms, and with our own views."""
    note = f"{IMAGES} images, one worker"
    found: list[Row | Skipped] = []
    with tempfile.TemporaryDirectory(prefix="folk-bench-") as name:
        folder, jpegs = Path(name), photographs(IMAGES)
        write_folder(folder / "folder", jpegs)
        write_table(folder / "shards", jpegs)
        _write_archive(folder / "images.tar", jpegs)
        peers: list[Any] = [("torchvision's ImageFolder", files, (folder / "folder",))]
        packages = install(f"{NAME}, webdataset's", *PACKAGES)
        if isinstance(packages, Skipped):
            found.append(packages)
        else:
            peers.append(("webdataset 1.0.2", archive, (folder / "images.tar", packages)))
        with ExitStack() as stack:
            ours = stack.enter_context(process(shards, folder / "shards"))
            sides = {
                f"{against} with {views}": stack.enter_context(process(make, *values, same))
                for against, make, values in peers
                for same, views in ((False, "torchvision's transforms"), (True, "our views"))
            }
            for against, theirs in sides.items():
                found += rows_of(NAME, against, ours, theirs, ROUNDS, note)
    return found


@contextmanager
def shards(folder: Path) -> Iterator[Work]:
    """Epochs of a training's own loader."""
    dataset = ImageDataset(ImageTable(sorted(folder.iterdir())), views_of("mfm", 0.2))
    yield _epoch_of(loader(dataset, EpochSampler(IMAGES, batch=BATCH), workers=1))


@contextmanager
def files(folder: Path, ours: bool) -> Iterator[Work]:
    """Epochs of torchvision's ImageFolder, with our decoding and views or with torchvision's."""
    if ours:
        dataset = ImageFolder(folder, _views(), loader=lambda path: Path(path).read_bytes())
    else:
        dataset = ImageFolder(folder, Twice(torchvision_mfm()))
    yield _epoch_of(
        DataLoader(dataset, BATCH, shuffle=True, collate_fn=_collate_of(ours), **WORKER)
    )


@contextmanager
def archive(tar: Path, packages: Path, ours: bool) -> Iterator[Work]:
    """Epochs of webdataset, with our decoding and views or with Pillow's and torchvision's."""
    sys.path.insert(0, str(packages))
    import webdataset

    samples = webdataset.WebDataset(str(tar), shardshuffle=False).shuffle(IMAGES)
    if ours:
        pairs = samples.to_tuple("jpg", "cls").map_tuple(_views(), int)
    else:
        pairs = samples.decode("pil").to_tuple("jpg", "cls")
        pairs = pairs.map_tuple(Twice(torchvision_mfm()), int)
    batches = pairs.batched(BATCH, collation_fn=_collate_of(ours))
    yield _epoch_of(webdataset.WebLoader(batches, batch_size=None, **WORKER))


def _epoch_of(batches: Iterable[Any]) -> Work:
    def epoch() -> None:
        shown = 0
        for batch in batches:
            views, labels = (batch["image"], batch["label"]) if isinstance(batch, dict) else batch
            assert [tuple(view.shape) for view in views] == [(len(labels), 3, 224, 224)] * 2
            shown += len(labels)
        assert shown == IMAGES

    return epoch


def _views() -> Callable[[bytes], list[Pixels]]:
    transform, rng = views_of("mfm", 0.2), np.random.default_rng(0)
    return lambda jpeg: transform(decode_pixels(jpeg, where=str), rng)


def _collate_of(ours: bool) -> Callable[[Sequence[tuple[Any, int]]], Any]:
    def as_ours(pairs: Sequence[tuple[Any, int]]) -> dict[str, Any]:
        return collate([{"image": views, "label": label, "index": 0} for views, label in pairs])

    return as_ours if ours else default_collate


def _write_archive(tar: Path, jpegs: Sequence[bytes]) -> None:
    with tarfile.open(tar, "w") as archived:
        for i, jpeg in enumerate(jpegs):
            for suffix, data in (("jpg", jpeg), ("cls", str(i % CLASSES).encode())):
                info = tarfile.TarInfo(f"{i:06}.{suffix}")
                info.size = len(data)
                archived.addfile(info, io.BytesIO(data))
