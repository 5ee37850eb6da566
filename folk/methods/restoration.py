"""MFM's restoration baselines: see a degraded image, predict the whole one."""

from collections.abc import Sequence

from jaxtyping import Float
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from folk.filters.rng import BatchRng
from folk.methods.base import Losses, Method, Reconstruction
from folk.methods.degradations import Degradation


class Restoration(Method):
    """See a degraded image, predict the spectrum of the whole one.

    Args:
        encoder: a timm encoder without classifier.
        mean: of each color, for the normalization of images in [0, 1].
        std: of each color.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py and frequency_loss.py: the
        restoration tasks use MFM's head and the frequency loss over the complete spectrum.
    """

    def __init__(
        self,
        encoder: nn.Module,
        degradation: Degradation,
        reconstruction: Reconstruction | None = None,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
    ) -> None:
        super().__init__(encoder, reconstruction, mean, std)
        self.degradation = degradation

    def corrupt(self, views: list[Tensor], rng: BatchRng) -> list[Tensor]:
        """Degrade the images."""
        return [self.degradation(views[0], rng)]

    def forward(
        self,
        views: list[Float[Tensor, "b 3 h w"]],
        corrupted: list[Float[Tensor, "b 3 h w"]],
        removed: list[Tensor] | None = None,
    ) -> Losses:
        """Return `loss` and its parts.

        Args:
            views: the one view, in [0, 1].
            corrupted: the same degraded, in [0, 1] but for what the degradation adds.
            removed: nothing, since no frequency is removed as such.
        """
        (images,), (degraded,) = views, corrupted
        features = self._features(degraded)
        loss = self._reconstruction_loss(self._predicted(features), images, None)
        return {
            "loss": loss,
            "loss/reconstruction": loss.detach(),
            **self._indicators(degraded, features),
        }
