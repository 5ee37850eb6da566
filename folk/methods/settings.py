"""The keys of each degradation in a recipe and their ranges, checked where there is no torch."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from folk.evidence.core.errors import InputError
from folk.evidence.core.ranges import Count, Positive
from folk.evidence.core.yaml_model import Section


class SuperResolutionSettings(Section):
    """The image made smaller and large again."""

    kind: Literal["sr"]
    """Super-resolution."""
    factor: Count
    """Side of the image over side of the small one."""


class DeblurSettings(Section):
    """Gaussian blur."""

    kind: Literal["deblur"]
    """Deblurring."""
    sigma: Positive
    """Of the Gaussian before it is cut, pixels."""
    min_size: Count
    """Smallest kernel, pixels, odd; one is drawn for each image."""
    max_size: Count
    """Largest kernel, pixels, odd."""

    @model_validator(mode="after")
    def _sizes_are_odd(self) -> "DeblurSettings":
        check_kernel_sizes(self.min_size, self.max_size)
        return self


class DenoiseSettings(Section):
    """Gaussian noise."""

    kind: Literal["denoise"]
    """Denoising."""
    level: Positive
    """Standard deviation, of 255."""


DegradationSettings = Annotated[
    SuperResolutionSettings | DeblurSettings | DenoiseSettings, Field(discriminator="kind")
]


def check_kernel_sizes(min_size: int, max_size: int) -> None:
    """Check the smallest and the largest kernel of a blur.

    Raises:
        InputError: one is even, or the first is the larger one.
    """
    if min_size % 2 == 0 or max_size % 2 == 0 or min_size > max_size:
        raise InputError(
            f"min_size {min_size} and max_size {max_size} must be odd, the first not larger"
        )
