"""Nearest neighbors of features, block by block on the device of the job."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from folk.evidence.core.errors import InputError

QUERIES = 1024  # compared at once
# Numbers of a block. The search holds below 100 bytes for each, in addition to the features: 0.4
# GB where the bank is sorted from the farthest to the nearest, a tenth of that where it is not.
BLOCK = 2**22
# Candidates beyond k, among which the exact similarity decides.
SPARE = 32


def nearest(
    queries: Float[np.ndarray, "m d"], bank: Float[np.ndarray, "n d"], k: int, device: torch.device
) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, "m k"]]:
    """Find the k features of the bank that are nearest to each query by cosine similarity.

    A float32 product without TF32 chooses k + `SPARE` candidates for a query; the similarity of
    these is computed again in float64 and rounded to float32. So order and similarities do not
    depend on device, blocks or threads. What the product misses is more than `SPARE` places too far
    down by its rounding, about 1e-7: this takes features that are nearly all equal.

    Args:
        k: number of neighbors; all of the bank when it has fewer.
        device: where the product is computed; the bank must fit there.

    Returns:
        similarities in [-1, 1], the largest first, and the rows of the bank; of equally similar
        ones the earlier row comes first.

    Raises:
        InputError: k is not positive, the bank is empty, or a feature is zero or not finite.
    """
    if k < 1:
        raise InputError(f"k-NN: expected k >= 1, got {k}")
    if len(bank) == 0:
        raise InputError("k-NN: no labeled images; use a split with labels")
    k = min(k, len(bank))
    asked = torch.from_numpy(_unit_length(queries, "test"))
    known = torch.from_numpy(_unit_length(bank, "training")).to(device)
    similarities, places = [], []
    with _full_precision():
        for block in asked.split(QUERIES):
            own = block.to(device)
            candidates = _candidates(own, known, min(k + SPARE, len(known)))
            similarity, place = _ordered(own, known, candidates)
            similarities.append(similarity[:, :k].cpu())
            places.append(place[:, :k].cpu())
    return torch.cat(similarities).numpy(), torch.cat(places).numpy()


def _candidates(
    queries: Float[Tensor, "b d"], bank: Float[Tensor, "n d"], k: int
) -> Int[Tensor, "b k"]:
    """Return the rows with the k largest float32 products, ties by row."""
    count, device = len(queries), queries.device
    best = torch.full((count, k), -torch.inf, device=device)
    places = torch.zeros((count, k), dtype=torch.int64, device=device)
    seen = 0
    while seen < len(bank):
        # No longer than what was seen: of so many, about k are better than the best k before.
        length = min(max(seen, k), max(1, BLOCK // count))
        product = queries @ bank[seen : seen + length].T
        # A later row that is only as near as the last of the best does not replace it.
        query, place = torch.nonzero(product > best[:, -1:], as_tuple=True)
        better = torch.bincount(query, minlength=count)
        number = torch.arange(len(query), device=device) - (better.cumsum(0) - better)[query]
        shape = (count, int(better.max()))
        found, found_at = best.new_full(shape, -torch.inf), places.new_zeros(shape)
        found[query, number] = product[query, place]
        found_at[query, number] = place + seen
        # A stable sort, and what is earlier in the bank is on the left.
        best, order = torch.cat([best, found], 1).sort(dim=1, descending=True, stable=True)
        best, order = best[:, :k], order[:, :k]
        places = torch.cat([places, found_at], 1).gather(1, order)
        seen += length
    return places


def _ordered(
    queries: Float[Tensor, "b d"], bank: Float[Tensor, "n d"], candidates: Int[Tensor, "b k"]
) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"]]:
    """Sort candidates by their exact similarity, rounded to float32, then by row."""
    rows = max(1, BLOCK // (candidates.shape[1] * bank.shape[1]))
    places = candidates.sort(dim=1).values
    similarity = torch.cat(
        [
            torch.einsum("bkd,bd->bk", bank[chosen].double(), own.double()).float()
            for own, chosen in zip(queries.split(rows), places.split(rows), strict=True)
        ]
    )
    similarity, order = similarity.sort(dim=1, descending=True, stable=True)
    return similarity, places.gather(1, order)


def _unit_length(features: Float[np.ndarray, "n d"], name: str) -> Float[np.ndarray, "n d"]:
    directions = np.empty(features.shape, dtype=np.float32)
    rows = max(1, BLOCK // features.shape[1])
    for start in range(0, len(features), rows):
        block = features[start : start + rows]
        lengths = np.linalg.norm(block.astype(np.float64), axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))[:, 0])
        if len(bad):
            raise InputError(
                f"k-NN: {name} feature {start + int(bad[0])} is zero or not finite; "
                "check the encoder"
            )
        directions[start : start + rows] = block / lengths
    return directions


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep TF32 out of products."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
