"""Images from shards to a batch: two augmented views of each, and what two ranks share."""

import io
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageFilter
from torch.utils.data import default_collate
from torchvision import transforms as T
from torchvision.datasets import ImageFolder

from folk.data.dataset import ImageDataset, collate
from folk.data.pixels import decode_pixels
from folk.data.shards import ImageTable
from folk.data.transforms import Views, view_transforms
from folk.data.writer import write_shard
from tests.bench.measure import Row, in_turns
from tests.bench.photographs import photographs

IMAGES, CLASSES = 48, 4
MAP_MIB = 200
ROUNDS = 9
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FOLDER = "torchvision's ImageFolder and transforms"


def rows() -> list[Row]:
    """Images of a second and core, in batches of 48; then the memory of two processes."""
    with tempfile.TemporaryDirectory(prefix="folk-bench-") as name:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            found = _of_one_core(Path(name))
        finally:
            torch.set_num_threads(threads)
        return [*found, _of_two_ranks(Path(name) / "shared")]


def _of_one_core(folder: Path) -> list[Row]:
    jpegs, places = photographs(IMAGES), range(IMAGES)
    write_folder(folder / "folder", jpegs)
    table = write_table(folder / "shards", jpegs)
    mfm = ImageDataset(table, views_of("mfm", 0.2))
    dino = ImageDataset(table, views_of("dino", 0.14))
    drawn = ImageDataset(table, replace(views_of("dino", 0.14), colors="device"))
    simple = ImageFolder(folder / "folder", transform=Twice(torchvision_mfm()))
    colored = ImageFolder(folder / "folder", transform=Twice(*_torchvision_dino()))

    ours = _rate(lambda: collate([mfm[i] for i in places]))
    ours_dino = _rate(lambda: collate([dino[i] for i in places]))
    ours_drawn = _rate(lambda: collate([drawn[i] for i in places]))
    folder_mfm = _rate(lambda: default_collate([simple[i] for i in places]))
    folder_dino = _rate(lambda: default_collate([colored[i] for i in places]))
    decoding = _rate(lambda: _drop(decode_pixels(jpeg, where=str) for jpeg in jpegs))
    pillow = _rate(lambda: _drop(_pillow(jpeg) for jpeg in jpegs))

    what = "two views, MFM's"
    return [
        _row(what, FOLDER, ours, folder_mfm, reach=2.0),
        _row(what, "decoding alone, by the same decoder", ours, decoding, reach=0.8),
        _row(what, "decoding alone, by Pillow", ours, pillow),
        _row("two views, DINO's", FOLDER, ours_dino, folder_dino, reach=2.0),
        _row("the same, colors: device", "colors: loader", ours_drawn, ours_dino, reach=1.8),
    ]


def _of_two_ranks(folder: Path) -> Row:
    jpegs = photographs(24)
    write_table(folder, jpegs * (MAP_MIB * 2**20 // sum(map(len, jpegs))))
    shard = folder / "train-00000.arrow"
    spawn = get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(2) as pool:
        both = pool.starmap(_read_all, [(shard, manager.Barrier(2))] * 2, chunksize=1)
    resident = statistics.fmean(held["Rss"] for held in both)
    return Row(
        "shards that two ranks have read: memory of both",
        "the shards",
        "MiB",
        [sum(held["Pss"] for held in both)],
        [shard.stat().st_size / 2**20],
        reach=1.05,
        note=f"either sees {resident:.0f} MiB of them",
    )


def _row(
    what: str,
    against: str,
    ours: Callable[[], float],
    baseline: Callable[[], float],
    reach: float | None = None,
) -> Row:
    mine, other = in_turns(ours, baseline, ROUNDS)
    return Row(what, against, "img/s", mine, other, reach=reach, at_least=True, note="one core")


def _rate(work: Callable[[], Any]) -> Callable[[], float]:
    """Images of a second of this thread's time, which other programs do not lengthen."""

    def measured() -> float:
        work()  # gets back from the system what the other side gave away
        start = time.thread_time()
        work()
        return IMAGES / (time.thread_time() - start)

    return measured


class Twice:
    """Two views of an image, by one transform or by two."""

    def __init__(self, first: Callable[[Any], Any], second: Callable[[Any], Any] | None = None):
        self._both = (first, second or first)

    def __call__(self, image: Image.Image) -> list[Any]:
        return [view(image) for view in self._both]


def torchvision_mfm() -> T.Compose:
    return T.Compose([*_crop(0.2), T.ToTensor(), T.Normalize(MEAN, STD)])


def _torchvision_dino() -> tuple[T.Compose, T.Compose]:
    def view(blur: float, solarize: float) -> T.Compose:
        return T.Compose(
            [
                *_crop(0.14),
                T.RandomApply([T.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
                T.RandomGrayscale(0.2),
                T.RandomApply([_blurred], p=blur),
                T.RandomSolarize(128, p=solarize),
                T.ToTensor(),
                T.Normalize(MEAN, STD),
            ]
        )

    return view(1.0, 0.0), view(0.1, 0.2)


def _crop(smallest: float) -> list[Any]:
    bicubic = T.InterpolationMode.BICUBIC
    return [
        T.RandomResizedCrop(224, (smallest, 1.0), interpolation=bicubic),
        T.RandomHorizontalFlip(),
    ]


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def views_of(kind: Any, smallest: float) -> Views:
    jitter = 1.0 if kind == "dino" else 0.0
    return view_transforms(kind, size=224, min_scale=smallest, jitter=jitter, num_views=2)


def _pillow(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg)).convert("RGB")


def _drop(values: Iterable[Any]) -> None:
    for _ in values:
        pass


def write_folder(folder: Path, jpegs: Sequence[bytes]) -> None:
    for i, jpeg in enumerate(jpegs):
        path = folder / f"class-{i % CLASSES}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg)


def write_table(folder: Path, jpegs: Sequence[bytes]) -> ImageTable:
    path = folder / "train-00000.arrow"
    write_shard(path, [(str(i), i % CLASSES, jpeg, None) for i, jpeg in enumerate(jpegs)])
    return ImageTable([path])


def _read_all(shard: Path, both: Any) -> dict[str, float]:
    table = ImageTable([shard])
    _drop(table.image_bytes(i) for i in range(len(table)))
    both.wait()  # until the other has read all of it too
    held = _mapped(shard)
    both.wait()
    return held


def _mapped(file: Path) -> dict[str, float]:
    """MiB of a file that this process has mapped, as Linux counts them."""
    held: dict[str, float] = {}
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        name, *values = line.split()
        if not name.endswith(":"):
            inside = line.endswith(str(file))
        elif inside and values[-1] == "kB":
            held[name[:-1]] = held.get(name[:-1], 0.0) + int(values[0]) / 1024
    return held
