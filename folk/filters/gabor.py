"""A bank of Gabor filters: hide or keep frequencies by direction and band."""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from folk.filters.base import FrequencyFilter, Images, Keep
from folk.filters.rng import BatchRng
from folk.filters.settings import check_bank
from folk.filters.spectrum import bin_positions, symmetrized


@dataclass(frozen=True)
class GaborFilter(FrequencyFilter):
    """A few filters of a bank are drawn for each image; a coin hides them or keeps them alone.

    A Gabor filter answers to waves near one frequency and direction. A coefficient belongs to it
    where its answer is at least half of the largest: an ellipse in the spectrum, and its mirror
    image. Neighboring directions touch at the center frequency.

    Attributes:
        orientations: number of directions, evenly spread over half a turn.
        frequencies: centers of the bands in bins, for an image of `radius_size` pixels.
        octaves: width of a band at half of the largest answer.
        num_chosen: filters that are drawn for an image, of orientations x frequencies.
        hide_prob: probability that they are hidden; else everything else is.
        radius_size: image side at which `frequencies` hold; they scale with the side. None takes
            them as they are.
        pairing: whether the coins of two views are independent or always differ.

    Source: ours; the half-peak ellipse follows from the Gaussian whose width is stated in octaves.
        No paper pre-trains with it: reviewers of FOLK asked for such a filter.
    """

    kind: ClassVar[str] = "gabor"

    orientations: int = 4
    frequencies: tuple[float, ...] = (8.0, 16.0, 32.0, 64.0)
    octaves: float = 1.0
    num_chosen: int = 4
    hide_prob: float = 0.5
    radius_size: int | None = 224
    pairing: Literal["independent", "one_of_each"] = "independent"

    def __post_init__(self) -> None:
        check_bank(self.orientations, self.frequencies, self.num_chosen)

    def __call__(self, images: Images, rng: BatchRng) -> Keep:
        """Draw filters, and whether they are hidden, for each image."""
        return self._keep(images, rng.bernoulli(self.hide_prob), rng)

    def draw_pair(self, u: Images, v: Images, rng: BatchRng) -> tuple[Keep, Keep]:
        """Draw filters, and whether they are hidden, for both views of each image."""
        hide_u, hide_v = rng.bernoulli_pair(self.hide_prob, self.pairing)
        return self._keep(u, hide_u, rng), self._keep(v, hide_v, rng)

    def sides(self) -> list[tuple[str, FrequencyFilter]]:
        """Both sides of the coin."""
        return [
            ("Gabor hidden", dataclasses.replace(self, hide_prob=1.0)),
            ("Gabor kept", dataclasses.replace(self, hide_prob=0.0)),
        ]

    def _keep(self, images: Images, hides: Bool[Tensor, "b"], rng: BatchRng) -> Keep:
        bank = gabor_bank(
            (images.shape[-2], images.shape[-1]),
            self._scaled(min(images.shape[-2:])),
            self.orientations,
            self.octaves,
            images.device,
        )
        order = rng.uniform(len(bank)).argsort(dim=1)
        chosen = (order < self.num_chosen).to(images.device, torch.float32, non_blocking=True)
        covered = (chosen @ bank.flatten(1).float() > 0.0).view(-1, 1, *bank.shape[1:])
        return covered != hides.to(images.device, non_blocking=True)[:, None, None, None]

    def _scaled(self, side: int) -> list[float]:
        scale = 1.0 if self.radius_size is None else side / self.radius_size
        return [frequency * scale for frequency in self.frequencies]


def gabor_bank(
    size: tuple[int, int],
    frequencies: list[float],
    orientations: int,
    octaves: float,
    device: torch.device | None = None,
) -> Bool[Tensor, "n h w_half"]:
    """Mark the coefficients that each filter answers to, direction by direction.

    Args:
        size: height and width of the image in pixels.
        frequencies: centers of the bands, bins.
        orientations: number of directions; the first one is along the rows.
        octaves: width of a band at half of the largest answer.
        device: where the masks are made; the CPU by default.
    """
    rows, columns = bin_positions(*size, device=device or torch.device("cpu"))
    masks = []
    for number in range(orientations):
        angle = math.pi * number / orientations
        along = (columns * math.cos(angle) + rows[:, None] * math.sin(angle)).abs()
        across = rows[:, None] * math.cos(angle) - columns * math.sin(angle)
        for frequency in frequencies:
            # Half-peak radii: the band reaches `octaves`, the direction half way to the next one.
            radial = frequency * (2.0**octaves - 1.0) / (2.0**octaves + 1.0)
            angular = frequency * math.tan(min(math.pi / (2.0 * orientations), 1.5))
            inside = ((along - frequency) / radial).square() + (across / angular).square() <= 1.0
            masks.append(symmetrized(inside, size[1]))
    return torch.stack(masks)
