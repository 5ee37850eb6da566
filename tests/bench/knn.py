"""The nearest of many images, as a search in blocks and as numpy finds them."""

import time

import numpy as np
import torch
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from folk.stages.neighbors import nearest
from tests.bench.measure import Row, in_turns

IMAGES, NUMBERS = 320_000, 384  # a quarter of ImageNet's training set; features of ViT-S/16
QUERIES = 1024
K = 200  # the largest of DINO's protocol
ROUNDS = 3
BLOCK = 2**24  # similarities that the baseline holds at once


def rows() -> list[Row]:
    """Seconds of a query on one core, or on a GPU; the baseline answers one block of them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = np.random.default_rng(0)
    bank = _unit(rng.standard_normal((IMAGES, NUMBERS), dtype=np.float32))
    queries = _unit(rng.standard_normal((QUERIES, NUMBERS), dtype=np.float32))
    few = queries[: BLOCK // IMAGES]
    # This thread's time is not lengthened by other programs, but a GPU works outside of it.
    clock = time.thread_time if device.type == "cpu" else time.perf_counter

    def ours() -> float:
        start = clock()
        nearest(queries, bank, K, device)
        return (clock() - start) / len(queries)

    def baseline() -> float:
        start = clock()
        nearest_by_numpy(few, bank, K)
        return (clock() - start) / len(few)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            mine, other = in_turns(ours, baseline, ROUNDS)
    finally:
        torch.set_num_threads(threads)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "one core"
    against = "numpy: a product, and a partition of each row"
    note = f"a query, {K} of {IMAGES:,} images; {where}"
    return [Row("nearest images", against, "s", mine, other, reach=0.05, note=note)]


def nearest_by_numpy(
    queries: Float[np.ndarray, "m d"], bank: Float[np.ndarray, "n d"], k: int
) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, "m k"]]:
    """Similarities and rows of the k nearest of features of unit length, ascending by row."""
    similarities, places = [], []
    rows = max(1, BLOCK // len(bank))
    for start in range(0, len(queries), rows):
        similarity = queries[start : start + rows] @ bank.T
        threshold = -np.partition(-similarity, k - 1, axis=1)[:, k - 1 : k]
        above, level = similarity > threshold, similarity == threshold
        missing = k - above.sum(axis=1, keepdims=True)
        chosen = above | (level & (np.cumsum(level, axis=1) <= missing))
        places.append(np.nonzero(chosen)[1].reshape(len(similarity), k))
        similarities.append(np.take_along_axis(similarity, places[-1], axis=1))
    return np.concatenate(similarities), np.concatenate(places)


def _unit(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features
