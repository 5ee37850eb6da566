"""Which Fourier coefficients the student is allowed to see.

A mask is a boolean `keep` on the half spectrum of `folk.methods.spectrum`: True where a coefficient
survives. Its shape is [b, m, h, w // 2 + 1] with m = 1 where red, green and blue share one mask.
Masks act on pictures in [0, 1], before the normalisation with mean and standard deviation.

All random draws come from a generator on the CPU, in an order that does not depend on the device.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from folk.errors import InputError
from folk.methods.spectrum import bin_distance_squared, half_spectrum, half_width, multiplicity

Pictures = Float[Tensor, "b c h w"]
Keep = Bool[Tensor, "b m h w_half"]
Pairing = Literal["independent", "one_of_each"]

BT601 = (0.299, 0.587, 0.114)  # luma weights of red, green, blue


@runtime_checkable
class FrequencyFilter(Protocol):
    """Decides, picture by picture, which coefficients are kept."""

    def __call__(self, images: Pictures, generator: Generator) -> Keep:
        """Draw one mask per picture; `images` are in [0, 1]."""
        ...

    def draw_pair(self, u: Pictures, v: Pictures, generator: Generator) -> tuple[Keep, Keep]:
        """Draw the masks of the two views of each picture."""
        ...


def radial_keep(
    size: tuple[int, int],
    radius: float,
    radius_outer: float | None = None,
    device: torch.device | None = None,
) -> Bool[Tensor, "h w_half"]:
    """Keep the frequencies inside a circle; the complement `~` is the high-pass mask.

    Args:
        size: height and width of the picture in pixels.
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
class RadialFilter:
    """MFM's fixed circle: a coin per picture keeps its low or its high frequencies.

    Attributes:
        radius: cut-off in bins for a picture of `radius_size` pixels.
        low_pass_prob: probability that a picture keeps its low frequencies.
        radius_size: picture side at which `radius` holds; at side N the cut-off is
            radius * N / radius_size. None takes `radius` as it is at every size.
        radius_outer: outer edge of the hidden band, scaled alike; None hides up to the corner.
        pairing: whether the coins of two views are independent or always differ.

    Source: MFM, arXiv:2206.07706: radius 16 at 224 px, probability 0.5 for ViT, 0.3 for ResNet-50.
    """

    radius: float
    low_pass_prob: float = 0.5
    radius_size: int | None = 224
    radius_outer: float | None = None
    pairing: Pairing = "independent"

    def __call__(self, images: Pictures, generator: Generator) -> Keep:
        """Draw low or high for each picture."""
        return self._keep(images, _coins(len(images), self.low_pass_prob, generator))

    def draw_pair(self, u: Pictures, v: Pictures, generator: Generator) -> tuple[Keep, Keep]:
        """Draw low or high for both views of each picture."""
        low_u, low_v = _coin_pair(len(u), self.low_pass_prob, self.pairing, generator)
        return self._keep(u, low_u), self._keep(v, low_v)

    def _keep(self, images: Pictures, keeps_low: Bool[Tensor, "b"]) -> Keep:
        height, width = images.shape[-2:]
        scale = 1.0 if self.radius_size is None else min(height, width) / self.radius_size
        outer = None if self.radius_outer is None else self.radius_outer * scale
        low = radial_keep((height, width), self.radius * scale, outer, images.device)
        return low == keeps_low.to(images.device)[:, None, None, None]


@dataclass(frozen=True)
class ComRComFilter:
    """FOLK's informed masks, chosen from the magnitudes of the picture's own spectrum.

    Com keeps the few largest coefficients, like a compressed picture; RCom keeps all the others.

    Attributes:
        thresholds: one is drawn per view, each with the same probability.
        p_com: probability of Com, else RCom.
        com_keeps: "smallest" exchanges the two masks.
        threshold_mode: "fraction" keeps that share of the coefficients, ranked by magnitude;
            "relative_max" keeps those above threshold x the largest magnitude.
        threshold_draw: a new threshold per view, per picture (both views share it) or per batch.
        pairing: whether the coins of two views are independent or always differ.
        gray: how magnitudes of the three colours become one: luma or plain mean of the colours.
        mask_channels: one mask for all colours, or a mask from each colour's own spectrum.
        dc: "by_magnitude" lets RCom remove the mean colour; "always_keep" spares it.

    Source: FOLK, arXiv:2409.10362, Sec. 3.2.1 as far as it is known second-hand; thresholds 0.005,
        0.01, 0.05. ASSUME: direction of Com, meaning and draw of the threshold, the coin, the grey
        weights and the mean colour are not known; each is an attribute here.
    """

    thresholds: tuple[float, ...] = (0.005, 0.01, 0.05)
    p_com: float = 0.5
    com_keeps: Literal["largest", "smallest"] = "largest"
    threshold_mode: Literal["fraction", "relative_max"] = "fraction"
    threshold_draw: Literal["view", "image", "batch"] = "view"
    pairing: Pairing = "independent"
    gray: Literal["bt601", "mean"] = "bt601"
    mask_channels: Literal["shared", "per_channel"] = "shared"
    dc: Literal["by_magnitude", "always_keep"] = "by_magnitude"

    def __post_init__(self) -> None:
        if not self.thresholds or not all(0.0 < t < 1.0 for t in self.thresholds):
            raise InputError(
                f"filter.thresholds: {list(self.thresholds)} must be one or more numbers"
                " between 0 and 1"
            )

    def __call__(self, images: Pictures, generator: Generator) -> Keep:
        """Draw Com or RCom and a threshold for each picture."""
        is_com = _coins(len(images), self.p_com, generator)
        return self._keep(images, is_com, self._draw_thresholds(len(images), generator))

    def draw_pair(self, u: Pictures, v: Pictures, generator: Generator) -> tuple[Keep, Keep]:
        """Draw Com or RCom and thresholds for both views of each picture."""
        com_u, com_v = _coin_pair(len(u), self.p_com, self.pairing, generator)
        which_u = self._draw_thresholds(len(u), generator)
        draws_once = self.threshold_draw != "view"
        which_v = which_u if draws_once else self._draw_thresholds(len(v), generator)
        return self._keep(u, com_u, which_u), self._keep(v, com_v, which_v)

    def _draw_thresholds(self, count: int, generator: Generator) -> Int[Tensor, "b"]:
        num_draws = 1 if self.threshold_draw == "batch" else count
        return torch.randint(len(self.thresholds), (num_draws,), generator=generator).expand(count)

    def _keep(self, images: Pictures, is_com: Bool[Tensor, "b"], which: Int[Tensor, "b"]) -> Keep:
        magnitude = symmetric_magnitude(self._colours(images))
        width = images.shape[-1]
        if self.threshold_mode == "fraction":
            is_large = largest_fraction(magnitude, width, self.thresholds, which)
        else:
            shares = torch.tensor(self.thresholds, dtype=magnitude.dtype)[which]
            largest = magnitude.amax(dim=(-2, -1), keepdim=True)
            is_large = magnitude > shares.to(images.device)[:, None, None, None] * largest
        keeps_large = is_com == (self.com_keeps == "largest")
        keep: Tensor = is_large == keeps_large.to(images.device)[:, None, None, None]
        if self.dc == "always_keep":
            keep[:, :, 0, 0] = True
        return keep

    def _colours(self, images: Pictures) -> Float[Tensor, "b m h w"]:
        if self.mask_channels == "per_channel":
            return images
        if self.gray == "mean":
            return images.mean(dim=1, keepdim=True)
        weights = torch.tensor(BT601, dtype=images.dtype, device=images.device)
        return (images * weights[:, None, None]).sum(dim=1, keepdim=True)


def symmetric_magnitude(planes: Float[Tensor, "b m h w"]) -> Float[Tensor, "b m h w_half"]:
    """Return the magnitudes of the half spectrum, with exact ties where theory has ties.

    Inside column 0 and column w / 2 both partners of a conjugate pair are stored, and the transform
    may return them with a last bit of difference. A threshold between the two would keep one alone
    and the filtered picture would not be real; both get the larger value.
    """
    magnitude = half_spectrum(planes).abs()
    width = planes.shape[-1]
    for column in (0, width // 2) if width % 2 == 0 else (0,):
        values = magnitude[..., column]
        partner = values.flip(-1).roll(1, -1)  # row y meets row -y
        magnitude[..., column] = torch.maximum(values, partner)
    return magnitude


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
        width: of the picture in pixels, which the half spectrum does not tell.
        fractions: the choices.
        which: the choice of each picture, on the CPU.
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
    rank = ranks[which].to(magnitude.device)[:, None, None]
    position = (counted < rank).sum(dim=-1, keepdim=True)
    threshold = top.values.gather(-1, position)
    return magnitude > threshold[..., None]


def apply_filter(
    images: Pictures,
    keep: Keep,
    clamp: bool = True,
    inverse: Literal["real", "abs"] = "real",
) -> Pictures:
    """Remove the frequencies that are not kept.

    Args:
        images: colours in [0, 1].
        keep: masks that treat bin k and bin -k alike, as all filters of this module do.
        clamp: clip the result to [0, 1], as MFM's code does. On a high-pass picture this cuts off
            about half of the pixels and brings the mean colour back; see `clipped_fraction`.
        inverse: "abs" folds negative values up, as CoinCheung/MFM does, instead of keeping them.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py L198-210.
    """
    height, width = images.shape[-2:]
    assert keep.shape[-2:] == (height, half_width(width)), "the mask is for another picture size"
    spectrum = half_spectrum(images) * keep
    filtered: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    if inverse == "abs":
        filtered = filtered.abs()
    return filtered.clamp(0.0, 1.0) if clamp else filtered


def clipped_fraction(unclamped: Pictures) -> Float[Tensor, ""]:
    """Return the share of values that a clip to [0, 1] would change; input of `clamp=False`."""
    return ((unclamped < 0.0) | (unclamped > 1.0)).float().mean()


def _coins(count: int, probability: float, generator: Generator) -> Bool[Tensor, "b"]:
    return torch.rand(count, generator=generator) < probability


def _coin_pair(
    count: int, probability: float, pairing: Pairing, generator: Generator
) -> tuple[Bool[Tensor, "b"], Bool[Tensor, "b"]]:
    first = _coins(count, probability, generator)
    second = ~first if pairing == "one_of_each" else _coins(count, probability, generator)
    return first, second
