"""What a filter is: pictures and a generator in, one mask for each picture out.

A mask is a boolean `keep` on the half spectrum of `folk.methods.spectrum`: True where a coefficient
survives. Its shape is [b, m, h, w // 2 + 1] with m = 1 where red, green and blue share one mask.
Masks act on pictures in [0, 1], before the normalisation with mean and standard deviation.

All random draws come from a generator on the CPU, in an order that does not depend on the device.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

Pictures = Float[Tensor, "b c h w"]
Keep = Bool[Tensor, "b m h w_half"]
Pairing = Literal["independent", "one_of_each"]


class FrequencyFilter(ABC):
    """Decides, picture by picture, which coefficients are kept.

    A mask must treat bin k and bin -k alike, or the filtered picture would not be real; see
    `folk.methods.spectrum.symmetrised`.

    Attributes:
        kind: the name in a recipe.
    """

    kind: ClassVar[str]

    @abstractmethod
    def __call__(self, images: Pictures, generator: Generator) -> Keep:
        """Draw one mask per picture; `images` are in [0, 1]."""

    def draw_pair(self, u: Pictures, v: Pictures, generator: Generator) -> tuple[Keep, Keep]:
        """Draw the masks of the two views of each picture; independent ones unless overridden."""
        return self(u, generator), self(v, generator)

    def sides(self) -> "list[tuple[str, FrequencyFilter]]":
        """What a figure shows of this filter: each of its faces by name, as a filter of its own."""
        return [(self.kind, self)]


def coins(count: int, probability: float, generator: Generator) -> Bool[Tensor, "b"]:
    """Throw one coin per picture."""
    return torch.rand(count, generator=generator) < probability


def coin_pair(
    count: int, probability: float, pairing: Pairing, generator: Generator
) -> tuple[Bool[Tensor, "b"], Bool[Tensor, "b"]]:
    """Throw the coins of two views: independent, or always different."""
    first = coins(count, probability, generator)
    second = ~first if pairing == "one_of_each" else coins(count, probability, generator)
    return first, second
