"""MFM's filter: one circle for all images."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from folk.filters.base import FrequencyFilter, Images, Keep
from folk.filters.rng import BatchRng
from folk.filters.spectrum import bin_distance_squared


def radial_keep(
    size: tuple[int, int],
    radius: float,
    radius_outer: float | None = None,
    device: torch.device | None = None,
) -> Bool[Tensor, "h w_half"]:
    """Keep the frequencies inside a circle; the complement `~` is the high-pass mask.

    Args:
        size: height and width of the image in pixels.
        radius: cut-off in bins. A bin exactly on the cut-off counts as high.
        radius_outer: when given, frequencies from this radius on are kept too, so that the mask
            hides a band and its complement keeps that band.
        device: where the mask is made; the CPU by default.

    Source: MFM, arXiv:2206.07706; the strict "<" and the band follow Jiahao000/MFM@c9194b1,
        data/data_mfm.py L23-28, which keeps full, shifted masks where we keep half of one.
    """
    distance = bin_distance_squared(*size, device=device or torch.device("cpu"))
    keep: Tensor = distance < radius**2
    if radius_outer is not None:
        keep = keep | (distance >= radius_outer**2)
    return keep


@dataclass(frozen=True)
class RadialFilter(FrequencyFilter):
    """MFM's fixed circle: a coin per image keeps its low or its high frequencies.

    Attributes:
        radius: cut-off in bins for an image of `radius_size` pixels.
        low_pass_prob: probability that an image keeps its low frequencies.
        radius_size: image side at which `radius` holds; at side N the cut-off is
            radius * N / radius_size. None takes `radius` as it is at every size.
        radius_outer: outer edge of the hidden band, scaled alike; None hides up to the corner.
        pairing: whether the coins of two views are independent or always differ.

    Source: MFM, arXiv:2206.07706: radius 16 at 224 px, probability 0.5 for ViT, 0.3 for ResNet-50.
    """

    kind: ClassVar[str] = "radial"

    radius: float
    low_pass_prob: float = 0.5
    radius_size: int | None = 224
    radius_outer: float | None = None
    pairing: Literal["independent", "one_of_each"] = "independent"

    def __call__(self, images: Images, rng: BatchRng) -> Keep:
        """Draw low or high for each image."""
        return self._keep(images, rng.bernoulli(self.low_pass_prob))

    def draw_pair(self, u: Images, v: Images, rng: BatchRng) -> tuple[Keep, Keep]:
        """Draw low or high for both views of each image."""
        low_u, low_v = rng.bernoulli_pair(self.low_pass_prob, self.pairing)
        return self._keep(u, low_u), self._keep(v, low_v)

    def sides(self) -> list[tuple[str, FrequencyFilter]]:
        """Both sides of the coin."""
        return [
            ("low-pass", dataclasses.replace(self, low_pass_prob=1.0)),
            ("high-pass", dataclasses.replace(self, low_pass_prob=0.0)),
        ]

    def _keep(self, images: Images, keeps_low: Bool[Tensor, "b"]) -> Keep:
        height, width = images.shape[-2:]
        scale = 1.0 if self.radius_size is None else min(height, width) / self.radius_size
        outer = None if self.radius_outer is None else self.radius_outer * scale
        low = radial_keep((height, width), self.radius * scale, outer, images.device)
        return low == keeps_low.to(images.device, non_blocking=True)[:, None, None, None]
