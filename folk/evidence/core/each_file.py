"""Parallel map over files."""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")


def of_each_file(paths: Iterable[Path], ask: Callable[[Path], Answer]) -> dict[Path, Answer]:
    """Map a function over files, on all cores that this process may use.

    Large files start first, so that no core has one left at the end.

    Args:
        paths: the files; duplicates are processed once.
        ask: reads one file; it must release the GIL, as hashing and reading do. Its exceptions are
            raised here.
    """
    sizes = {path: path.stat().st_size if path.is_file() else 0 for path in set(paths)}
    order = sorted(sizes, key=lambda path: (-sizes[path], path))
    with ThreadPoolExecutor(max_workers=_cores()) as pool:
        return dict(zip(order, pool.map(ask, order), strict=True))


def _cores() -> int:
    # A scheduler gives a job some cores of a node, not all that the node has.
    every = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return every or 1
