"""No filter: the student sees every frequency, as in plain self-distillation."""

from dataclasses import dataclass
from typing import ClassVar

from folk.filters.base import BatchRng, FrequencyFilter, Images, Keep


@dataclass(frozen=True)
class Unfiltered(FrequencyFilter):
    """Masks that keep every coefficient; with them nothing is left to reconstruct."""

    kind: ClassVar[str] = "none"

    def __call__(self, images: Images, rng: BatchRng) -> Keep:
        """Keep everything, and draw nothing."""
        import torch

        from folk.filters.spectrum import half_width

        height, width = images.shape[-2:]
        size = (len(images), 1, height, half_width(width))
        return torch.ones(size, dtype=torch.bool, device=images.device)
