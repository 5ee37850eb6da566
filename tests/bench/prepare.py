"""An ImageNet archive to shards, against unpacking it."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from folk.data.datasets import miniature
from folk.data.datasets.kinds import read_archives
from folk.data.store import store_images
from folk.evidence.core.digest import digest_file
from tests.bench.measure import Row, in_a_process, in_turns
from tests.bench.photographs import photographs

CLASSES = tuple(f"n{number:08d}" for number in range(10))
PER_CLASS = 400  # images of 105 kB
ROUNDS = 3


class Spent(NamedTuple):
    """What a preparation took: seconds by the clock and of all threads, MiB at its peak."""

    seconds: float
    busy: float
    peak: float


def rows() -> list[Row]:
    """A tar of ten tars, 0.4 GB; TMPDIR, which needs four times that, says where it lies."""
    with tempfile.TemporaryDirectory(prefix="folk-bench-") as name:
        folder = Path(name)
        half = _archives(folder / "half", PER_CLASS // 2)
        whole = _archives(folder / "whole", PER_CLASS)
        spent: list[Spent] = []

        def ours() -> float:
            spent.append(in_a_process(_prepare, whole, folder / "prepared"))
            return spent[-1].seconds

        def unpacked() -> float:
            return _unpack(whole["train"], folder / "unpacked")

        mine, other = in_turns(ours, unpacked, ROUNDS)
        halves = [in_a_process(_prepare, half, folder / "prepared") for _ in spent[1:]]
    cores = len(os.sched_getaffinity(0))
    busy = [each.busy / each.seconds / cores for each in spent[1:]]
    peaks = [each.peak for each in spent[1:]]
    return [
        Row("prepare: archive to shards", "tar x of it and its tars", "s", mine, other, reach=1.5),
        Row("prepare: cores at work", "", "share", busy, at_least=True, note=f"of {cores}"),
        Row(
            "prepare: memory",
            "half the archive",
            "MiB",
            peaks,
            [each.peak for each in halves],
            reach=1.1,
        ),
    ]


def _archives(folder: Path, per_class: int) -> dict[str, Path]:
    jpegs = photographs(120)

    def own(number: int) -> bytes:
        said = b"image %d" % number  # in a comment, so that no two files are the same
        jpeg = jpegs[number % len(jpegs)]
        return jpeg[:2] + b"\xff\xfe" + (len(said) + 2).to_bytes(2, "big") + said + jpeg[2:]

    train = {
        wnid: {f"{wnid}_{n}.JPEG": own(c * per_class + n) for n in range(per_class)}
        for c, wnid in enumerate(CLASSES)
    }
    tables = miniature.devkit_files(CLASSES, (1,))
    return miniature.imagenet(folder, train, {"ILSVRC2012_val_00000001.JPEG": own(0)}, tables)


def _unpack(archive: Path, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    start = time.perf_counter()
    subprocess.run(["tar", "xf", archive.absolute()], cwd=folder, check=True)
    for tar in sorted(folder.glob("*.tar")):
        inside = folder / tar.stem
        inside.mkdir()
        subprocess.run(["tar", "xf", tar.absolute()], cwd=inside, check=True)
        tar.unlink()
    return time.perf_counter() - start


def _prepare(archives: dict[str, Path], folder: Path) -> Spent:
    shutil.rmtree(folder, ignore_errors=True)
    start, busy = time.perf_counter(), time.process_time()
    for path in archives.values():
        digest_file(path)
    contents = read_archives("imagenet", archives, len(CLASSES))
    store_images(contents, folder, name="bench", sources=[], identity="bench")
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return Spent(seconds, busy, _peak())


def _peak() -> float:
    # Not getrusage: its peak is that of the process that started this one, where that was higher.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
