"""The keys of each filter in a recipe and their ranges, checked where there is no torch.

A section has the keys of the filter of its kind, all of them required.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from folk.evidence.core.errors import InputError
from folk.evidence.core.ranges import Count, Fraction, InnerFraction, Positive
from folk.evidence.core.yaml_model import Section

# YAML has lists where an unchangeable section has tuples.
Thresholds = Annotated[tuple[InnerFraction, ...], Field(strict=False)]
Frequencies = Annotated[tuple[Positive, ...], Field(strict=False)]
ThresholdDraw = Literal["view", "image", "batch"]
Pairing = Literal["independent", "one_of_each"]


class ComRComSettings(Section):
    """FOLK's informed masks."""

    kind: Literal["com-rcom"]
    """FOLK's filters."""
    thresholds: Thresholds
    """One is drawn, each with the same probability."""
    p_com: Fraction
    """Probability of Com, else RCom."""
    threshold_mode: Literal["fraction", "relative_max"]
    """A share of the coefficients, or of the largest magnitude."""
    threshold_draw: ThresholdDraw
    """A threshold for each view, for each image (both views share it) or for the batch."""
    pairing: Pairing
    """Of the draws for two views."""
    gray: Literal["bt601", "mean"]
    """Weights of the colors: luma, or the plain mean."""
    mask_channels: Literal["shared", "per_channel"]
    """One mask for the three colors, or one each."""
    dc: Literal["by_magnitude", "always_keep"]
    """`by_magnitude` lets RCom remove the mean color; `always_keep` spares it."""

    @model_validator(mode="after")
    def _has_thresholds(self) -> "ComRComSettings":
        check_thresholds(self.thresholds)
        return self


class GaborSettings(Section):
    """A bank of Gabor filters."""

    kind: Literal["gabor"]
    """Gabor filters."""
    orientations: Count
    """Number of directions."""
    frequencies: Frequencies
    """Centers of the bands, bins at `radius_size`."""
    octaves: Positive
    """Width of a band."""
    num_chosen: Count
    """Filters that are drawn for an image."""
    hide_prob: Fraction
    """Probability that these are hidden; otherwise only they are kept."""
    radius_size: Count | None
    """Pixels; null takes `frequencies` as they are."""
    pairing: Pairing
    """Of the draws for two views."""

    @model_validator(mode="after")
    def _bank_is_large_enough(self) -> "GaborSettings":
        check_bank(self.orientations, self.frequencies, self.num_chosen)
        return self


class RadialSettings(Section):
    """MFM's circle."""

    kind: Literal["radial"]
    """MFM's filter."""
    radius: Positive
    """Cut-off, bins at `radius_size`."""
    low_pass_prob: Fraction
    """Probability that an image keeps its low frequencies."""
    radius_size: Count | None
    """Side of an image, pixels, that `radius` is for; other sizes are scaled. Null: not scaled."""
    radius_outer: Positive | None
    """Outer edge of the hidden band, bins at `radius_size`; null for none."""
    pairing: Pairing
    """Of the draws for two views."""


class RandomSettings(Section):
    """Random masks of the size of Com and RCom."""

    kind: Literal["random"]
    """FOLK's baseline."""
    thresholds: Thresholds
    """Share of the coefficients that are chosen at random; one is drawn."""
    p_few: Fraction
    """Probability that only they are kept; otherwise only they are removed."""
    threshold_draw: ThresholdDraw
    """A threshold for each view, for each image (both views share it) or for the batch."""
    pairing: Pairing
    """Of the draws for two views."""

    @model_validator(mode="after")
    def _has_thresholds(self) -> "RandomSettings":
        check_thresholds(self.thresholds)
        return self


FilterSettings = Annotated[
    ComRComSettings | GaborSettings | RadialSettings | RandomSettings,
    Field(discriminator="kind"),
]


def check_thresholds(thresholds: Sequence[float]) -> None:
    """Check the thresholds of Com and RCom.

    Raises:
        InputError: there is none, or one is not between 0 and 1.
    """
    if not thresholds or not all(0.0 < t < 1.0 for t in thresholds):
        raise InputError(
            f"thresholds: {list(thresholds)} must be one or more numbers between 0 and 1"
        )


def check_bank(orientations: int, frequencies: Sequence[float], num_chosen: int) -> None:
    """Check how many filters are drawn of a Gabor bank.

    Raises:
        InputError: more than there are.
    """
    bank = orientations * len(frequencies)
    if num_chosen > bank:
        raise InputError(
            f"num_chosen: {num_chosen} of a bank of {bank} (orientations x frequencies); lower it"
        )
