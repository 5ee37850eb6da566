"""Make the embedded part of Fashion-MNIST from the whole one.

python -m folk.data.datasets.embedded.make_fashion_mnist_small /usr/share/datasets/fashion-mnist
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from folk.data.datasets import miniature
from folk.data.datasets.arrays import read_idx
from folk.evidence.core.files import atomic_write

PER_CLASS = {"train": 1200, "t10k": 300}
FOLDER = Path(__file__).parent / "fashion-mnist-small"


def contents_of(source: Path) -> dict[str, bytes]:
    """Make the four unpacked files, the first images of each class in the order of the whole.

    Args:
        source: folder with the official files, gzipped.
    """
    made = {}
    for word, number in PER_CLASS.items():
        names = (f"{word}-images-idx3-ubyte.gz", f"{word}-labels-idx1-ubyte.gz")
        images, labels = (read_idx(source / name, n) for name, n in zip(names, (3, 1), strict=True))
        first = [np.flatnonzero(labels == label)[:number] for label in range(10)]
        rows = np.sort(np.concatenate(first))
        for name, array in zip(names, (images[rows], labels[rows]), strict=True):
            made[name] = miniature.idx(array)
    return made


if __name__ == "__main__":
    for name, data in contents_of(Path(sys.argv[1])).items():
        with atomic_write(FOLDER / name) as temp:
            temp.write_bytes(gzip.compress(data, 9, mtime=0))
