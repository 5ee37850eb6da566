"""Base of all filters: images and random draws in, one mask for each image out.

A mask is a boolean `keep` on the half spectrum of `folk.filters.spectrum`: True where a coefficient
survives. Its shape is [b, m, h, w // 2 + 1] with m = 1 where red, green and blue share one mask.
Masks act on images in [0, 1], before the normalization with mean and standard deviation.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from jaxtyping import Bool, Float

# A filter's keys are read where there is no torch: its file imports torch inside functions.
if TYPE_CHECKING:
    import torch
    from torch import Tensor as Tensor

    from folk.filters.rng import BatchRng as BatchRng

    Device = torch.device
else:
    Tensor = Device = BatchRng = Any  # shapes and types are checked all the same

Images = Float[Tensor, "b c h w"]
Keep = Bool[Tensor, "b m h w_half"]


class FrequencyFilter(ABC):
    """Decides, image by image, which coefficients are kept.

    A mask must treat bin k and bin -k alike, or the filtered image would not be real; see
    `folk.filters.spectrum.symmetrized`.

    Attributes:
        kind: the name in a recipe.
    """

    kind: ClassVar[str]

    @abstractmethod
    def __call__(self, images: Images, rng: BatchRng) -> Keep:
        """Draw one mask per image; `images` are in [0, 1]."""

    def draw_pair(self, u: Images, v: Images, rng: BatchRng) -> tuple[Keep, Keep]:
        """Draw the masks of the two views of each image; independent ones unless overridden."""
        return self(u, rng), self(v, rng)

    def sides(self) -> "list[tuple[str, FrequencyFilter]]":
        """List the variants of this filter that a figure shows: by name, each as a filter."""
        return [(self.kind, self)]
