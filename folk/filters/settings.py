"""The keys of each filter in a recipe and their ranges, checked where there is no torch.

A section has the keys of the filter of its kind, all of them required; the filter's docstring tells
what they do.
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
    thresholds: Thresholds  # one is drawn per view
    p_com: Fraction  # probability of Com, else RCom
    threshold_mode: Literal["fraction", "relative_max"]  # what a threshold is a share of
    threshold_draw: ThresholdDraw  # how often one is drawn
    pairing: Pairing  # of the draws for two views
    gray: Literal["bt601", "mean"]  # how three colors become one
    mask_channels: Literal["shared", "per_channel"]
    dc: Literal["by_magnitude", "always_keep"]  # whether RCom may remove the mean color

    @model_validator(mode="after")
    def _has_thresholds(self) -> "ComRComSettings":
        check_thresholds(self.thresholds)
        return self


class GaborSettings(Section):
    """A bank of Gabor filters."""

    kind: Literal["gabor"]
    orientations: Count
    frequencies: Frequencies  # centers of the bands, bins at `radius_size`
    octaves: Positive  # width of a band
    num_chosen: Count  # filters that are drawn for an image
    hide_prob: Fraction  # probability that they are hidden, else kept alone
    radius_size: Count | None  # pixels; null takes `frequencies` as they are
    pairing: Pairing

    @model_validator(mode="after")
    def _bank_is_large_enough(self) -> "GaborSettings":
        check_bank(self.orientations, self.frequencies, self.num_chosen)
        return self


class RadialSettings(Section):
    """MFM's circle."""

    kind: Literal["radial"]
    radius: Positive  # bins at `radius_size`
    low_pass_prob: Fraction
    radius_size: Count | None  # pixels; null takes `radius` as it is
    radius_outer: Positive | None  # outer edge of the hidden band, bins at `radius_size`
    pairing: Pairing


class RandomSettings(Section):
    """Random masks of the size of Com and RCom."""

    kind: Literal["random"]
    thresholds: Thresholds  # fractions of the coefficients that are chosen
    p_few: Fraction  # probability that they are kept, else removed
    threshold_draw: ThresholdDraw
    pairing: Pairing

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
