"""Random frequency filters, the baseline of Com and RCom: the image decides nothing."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Bool, Float, Int

from folk.evidence.core.ranges import Fraction
from folk.filters.base import BatchRng, Device, FrequencyFilter, Images, Keep, Tensor
from folk.filters.com_rcom import (
    ThresholdDraw,
    Thresholds,
    check_thresholds,
    draw_threshold_pair,
    draw_thresholds,
    largest_fraction,
)


@dataclass(frozen=True)
class RandomFilter(FrequencyFilter):
    """Random masks of the size of FOLK's Com and RCom.

    A few coefficients are chosen uniformly at random, anew for each view, and either they alone are
    kept or they alone are removed. The mean color is a coefficient like any other.

    Attributes:
        thresholds: fractions of the coefficients that are chosen; one is drawn per view, each with
            the same probability.
        p_few: probability that the chosen coefficients are kept, else removed.
        threshold_draw: a new threshold per view, per image (both views share it) or per batch.
        pairing: whether two views decide independently about keeping or removing, or always differ.

    Source: FOLK, arXiv:2409.10362, App. B.5.4, of which the main text gives no more than that
        random filters are compared with the informed ones. ASSUME: the definition is ours: as many
        coefficients as Com keeps, in conjugate pairs, whatever the image.
    """

    kind: ClassVar[str] = "random"

    thresholds: Thresholds = (0.005, 0.01, 0.05)
    p_few: Fraction = 0.5
    threshold_draw: ThresholdDraw = "view"
    pairing: Literal["independent", "one_of_each"] = "independent"

    def __post_init__(self) -> None:
        check_thresholds(self.thresholds)

    def __call__(self, images: Images, rng: BatchRng) -> Keep:
        """Draw a threshold, the coefficients, and whether they are kept, for each image."""
        keeps_few = rng.bernoulli(self.p_few)
        which = draw_thresholds(len(self.thresholds), len(images), self.threshold_draw, rng)
        return self._keep(images, keeps_few, which, rng)

    def draw_pair(self, u: Images, v: Images, rng: BatchRng) -> tuple[Keep, Keep]:
        """Draw thresholds, coefficients and whether they are kept for both views of each image."""
        few_u, few_v = rng.bernoulli_pair(self.p_few, self.pairing)
        num_choices = len(self.thresholds)
        which_u, which_v = draw_threshold_pair(num_choices, len(u), self.threshold_draw, rng)
        return self._keep(u, few_u, which_u, rng), self._keep(v, few_v, which_v, rng)

    def sides(self) -> list[tuple[str, FrequencyFilter]]:
        """The chosen coefficients kept and removed, at each threshold."""
        return [
            (
                f"{name} {threshold:g}",
                dataclasses.replace(self, p_few=p_few, thresholds=(threshold,)),
            )
            for threshold in self.thresholds
            for name, p_few in (("random kept", 1.0), ("random removed", 0.0))
        ]

    def _keep(
        self, images: Images, keeps_few: Bool[Tensor, "b"], which: Int[Tensor, "b"], rng: BatchRng
    ) -> Keep:
        height, width = images.shape[-2:]
        ranking = random_ranking(rng.integers(2**62), height, width, images.device)
        is_chosen = largest_fraction(ranking, width, self.thresholds, which)
        few = keeps_few.to(images.device, non_blocking=True)
        keep: Tensor = is_chosen == few[:, None, None, None]
        return keep


def random_ranking(
    seeds: Int[Tensor, "b"], height: int, width: int, device: Device
) -> Float[Tensor, "b 1 h w_half"]:
    """Draw one number in [0, 1) for each coefficient; conjugate partners share theirs.

    Double precision leaves no ties between others than partners, so the count is exact.

    Args:
        seeds: of the images' generators.
    """
    import torch

    from folk.filters.rng import draw_per_image
    from folk.filters.spectrum import half_width, symmetrized

    size = (height, half_width(width))
    ranking = draw_per_image(
        seeds, lambda own: torch.rand(size, generator=own, dtype=torch.float64), device
    )
    # Where both partners are stored, the larger of their two numbers would be chosen too often.
    for column in (0, width // 2) if width % 2 == 0 else (0,):
        ranking[:, height // 2 + 1 :, column] = 0.0
    return symmetrized(ranking, width)[:, None]
