"""Random numbers for the images of a batch, the same however the batch is shared out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

Pairing = Literal["independent", "one_of_each"]


class BatchRng:
    """BatchRng for the whole batch and hands out the share of one process.

    All numbers come from one generator on the CPU, so they depend neither on the device nor on the
    number of processes.

    Args:
        seed: of the generator.
        count: images in the whole batch.
        share: which of them are asked for; all by default.
    """

    def __init__(self, seed: int, count: int, share: slice | None = None) -> None:
        self._generator = Generator().manual_seed(seed)
        self._count = count
        self._share = share or slice(0, count)

    def uniform(self, *shape: int) -> Float[Tensor, "b ..."]:
        """Numbers in [0, 1), of a shape, for each image."""
        return torch.rand(self._count, *shape, generator=self._generator)[self._share]

    def integers(self, high: int) -> Int[Tensor, "b"]:
        """A number of 0 .. high - 1 for each image."""
        return torch.randint(high, (self._count,), generator=self._generator)[self._share]

    def integer(self, high: int) -> int:
        """A number of 0 .. high - 1 for the whole batch."""
        return int(torch.randint(high, (1,), generator=self._generator))

    def bernoulli(self, probability: float) -> Bool[Tensor, "b"]:
        """Bernoulli draw for each image."""
        return self.uniform() < probability

    def bernoulli_pair(
        self, probability: float, pairing: Pairing
    ) -> tuple[Bool[Tensor, "b"], Bool[Tensor, "b"]]:
        """Bernoulli draws for two views of each image: independent, or always different."""
        first = self.bernoulli(probability)
        return first, ~first if pairing == "one_of_each" else self.bernoulli(probability)


def draw_per_image(
    seeds: Int[Tensor, "b"], draw: Callable[[Generator], Tensor], device: torch.device
) -> Tensor:
    """Stack what `draw` makes of a generator for each image, and move it to a device.

    The generators are on the CPU, because a GPU's give other numbers for the same seed. torch
    draws without Python's lock, so threads share the work.

    Args:
        seeds: of the images' generators.
        draw: makes a tensor on the CPU, of the same shape for each image.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        drawn = pool.map(draw, [Generator().manual_seed(int(seed)) for seed in seeds])
        return torch.stack(list(drawn)).to(device, non_blocking=True)
