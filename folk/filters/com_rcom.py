"""FOLK's filters Com and RCom: the image's own spectrum decides."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from folk.filters.base import FrequencyFilter, Images, Keep
from folk.filters.rng import BatchRng
from folk.filters.settings import ThresholdDraw, check_thresholds
from folk.filters.spectrum import half_spectrum, multiplicity, symmetrized

BT601 = (0.299, 0.587, 0.114)  # luma weights of red, green, blue


@dataclass(frozen=True)
class ComRComFilter(FrequencyFilter):
    """FOLK's informed masks, chosen from the magnitudes of the image's own spectrum.

    Com keeps the few largest coefficients, like a compressed image; RCom keeps all the others.
    Of an image of one color Com keeps the mean color, and beside it at most what the transform's
    rounding left elsewhere; RCom keeps nothing that can be seen. In a black image nothing is
    large: Com keeps nothing, RCom everything, and with nothing removed its loss is 0.

    Attributes:
        thresholds: one is drawn per view, each with the same probability.
        p_com: probability of Com, else RCom.
        threshold_mode: "fraction" keeps that share of the coefficients, ranked by magnitude;
            "relative_max" keeps those above threshold x the largest magnitude.
        threshold_draw: a new threshold per view, per image (both views share it) or per batch.
        pairing: whether the coins of two views are independent or always differ.
        gray: how magnitudes of the three colors become one: luma or plain mean of the colors.
        mask_channels: one mask for all colors, or a mask from each color's own spectrum.
        dc: "by_magnitude" lets RCom remove the mean color; "always_keep" spares it.

    Source: FOLK, arXiv:2409.10362, Sec. 3.2.1: Com keeps the largest magnitudes of the gray image,
        RCom removes them, 50 % each, thresholds 0.005, 0.01, 0.05 drawn uniformly, one mask for the
        three channels. ASSUME: meaning of the threshold, whether the views share a draw, gray
        weights and the mean color are not known; each is an attribute here.
    """

    kind: ClassVar[str] = "com-rcom"

    thresholds: tuple[float, ...] = (0.005, 0.01, 0.05)
    p_com: float = 0.5
    threshold_mode: Literal["fraction", "relative_max"] = "fraction"
    threshold_draw: Literal["view", "image", "batch"] = "view"
    pairing: Literal["independent", "one_of_each"] = "independent"
    gray: Literal["bt601", "mean"] = "bt601"
    mask_channels: Literal["shared", "per_channel"] = "shared"
    dc: Literal["by_magnitude", "always_keep"] = "by_magnitude"

    def __post_init__(self) -> None:
        check_thresholds(self.thresholds)

    def __call__(self, images: Images, rng: BatchRng) -> Keep:
        """Draw Com or RCom and a threshold for each image."""
        is_com = rng.bernoulli(self.p_com)
        which = draw_thresholds(len(self.thresholds), len(images), self.threshold_draw, rng)
        return self._keep(images, is_com, which)

    def draw_pair(self, u: Images, v: Images, rng: BatchRng) -> tuple[Keep, Keep]:
        """Draw Com or RCom and thresholds for both views of each image."""
        com_u, com_v = rng.bernoulli_pair(self.p_com, self.pairing)
        num_choices = len(self.thresholds)
        which_u, which_v = draw_threshold_pair(num_choices, len(u), self.threshold_draw, rng)
        return self._keep(u, com_u, which_u), self._keep(v, com_v, which_v)

    def sides(self) -> list[tuple[str, FrequencyFilter]]:
        """Com and RCom at each threshold."""
        return [
            (
                f"{name} {threshold:g}",
                dataclasses.replace(self, p_com=p_com, thresholds=(threshold,)),
            )
            for threshold in self.thresholds
            for name, p_com in (("Com", 1.0), ("RCom", 0.0))
        ]

    def _keep(self, images: Images, is_com: Bool[Tensor, "b"], which: Int[Tensor, "b"]) -> Keep:
        magnitude = symmetric_magnitude(self._colors(images))
        width = images.shape[-1]
        if self.threshold_mode == "fraction":
            is_large = largest_fraction(magnitude, width, self.thresholds, which)
        else:
            shares = torch.tensor(self.thresholds, dtype=magnitude.dtype)[which]
            largest = magnitude.amax(dim=(-2, -1), keepdim=True)
            shares = shares.to(images.device, non_blocking=True)
            is_large = magnitude > shares[:, None, None, None] * largest
        is_com = is_com.to(images.device, non_blocking=True)
        keep: Tensor = is_large == is_com[:, None, None, None]
        if self.dc == "always_keep":
            keep[:, :, 0, 0] = True
        return keep

    def _colors(self, images: Images) -> Float[Tensor, "b m h w"]:
        if self.mask_channels == "per_channel":
            return images
        if self.gray == "mean":
            return images.mean(dim=1, keepdim=True)
        red, green, blue = images.split(1, dim=1)
        luma: Tensor = BT601[0] * red
        return luma.add_(green, alpha=BT601[1]).add_(blue, alpha=BT601[2])


def draw_thresholds(
    num_choices: int, count: int, threshold_draw: ThresholdDraw, rng: BatchRng
) -> Int[Tensor, "b"]:
    """Draw which threshold each of `count` images gets; each choice has the same probability."""
    if threshold_draw == "batch":
        return torch.full((count,), rng.integer(num_choices))
    return rng.integers(num_choices)


def draw_threshold_pair(
    num_choices: int, count: int, threshold_draw: ThresholdDraw, rng: BatchRng
) -> tuple[Int[Tensor, "b"], Int[Tensor, "b"]]:
    """Draw thresholds for both views of `count` images; they share one unless drawn per view."""
    first = draw_thresholds(num_choices, count, threshold_draw, rng)
    if threshold_draw != "view":
        return first, first
    return first, draw_thresholds(num_choices, count, threshold_draw, rng)


def symmetric_magnitude(planes: Float[Tensor, "b m h w"]) -> Float[Tensor, "b m h w_half"]:
    """Return the magnitudes of the half spectrum, with exact ties where theory has ties.

    Inside column 0 and column w / 2 both partners of a conjugate pair are stored, and the transform
    may return them with a last bit of difference. A threshold between the two would keep one alone
    and the filtered image would not be real; both get the larger value.
    """
    return symmetrized(half_spectrum(planes).abs(), planes.shape[-1])


def largest_fraction(
    magnitude: Float[Tensor, "b m h w_half"],
    width: int,
    fractions: tuple[float, ...],
    which: Int[Tensor, "b"],
) -> Bool[Tensor, "b m h w_half"]:
    """Mark the coefficients above the value that leaves a fraction of the full spectrum above it.

    The threshold is the element at the 0-based index floor((1 - fraction) * h * w) of all
    magnitudes of the full spectrum in ascending order, and a coefficient must exceed it. Only half
    of the spectrum is ranked: a coefficient that stands for two is counted twice.

    Args:
        magnitude: of the half spectrum, ties exact.
        width: of the image in pixels, which the half spectrum does not tell.
        fractions: the choices.
        which: the choice of each image, on the CPU.
    """
    height = magnitude.shape[-2]
    total = height * width
    # Counted from the largest, 1-based: the threshold is the rank-th coefficient of the full plane.
    ranks = torch.tensor([total - int((1.0 - fraction) * total) for fraction in fractions])
    weights = multiplicity(width, magnitude.device).expand(height, -1).flatten()
    # Each stored coefficient counts at least once, so rank-th is among the `rank` largest.
    num_top = min(int(ranks.max()), weights.numel())
    top = magnitude.flatten(-2).topk(num_top, dim=-1)
    counted = weights[top.indices].cumsum(dim=-1)
    rank = ranks[which].to(magnitude.device, non_blocking=True)[:, None, None]
    position = (counted < rank).sum(dim=-1, keepdim=True)
    threshold = top.values.gather(-1, position)
    return magnitude > threshold[..., None]
