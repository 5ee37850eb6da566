"""MFM: masked frequency modeling."""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from folk.filters.apply import apply_filter
from folk.filters.base import FrequencyFilter
from folk.filters.rng import BatchRng
from folk.methods.base import Losses, Method, Reconstruction
from folk.methods.losses import removed_count


class MFM(Method):
    """See a filtered image, predict the frequencies that are missing.

    Args:
        encoder: a timm encoder without classifier.
        frequency_filter: draws which frequencies the encoder may see.
        mean: of each color, for the normalization of images in [0, 1].
        std: of each color.

    Source: MFM, arXiv:2206.07706, Fig. 2. With the Com/RCom filter it is the row "MFM + R/Com" of
        FOLK, arXiv:2409.10362, Table 1.
    """

    def __init__(
        self,
        encoder: nn.Module,
        frequency_filter: FrequencyFilter,
        reconstruction: Reconstruction | None = None,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
    ) -> None:
        super().__init__(encoder, reconstruction, mean, std)
        self.frequency_filter = frequency_filter

    def corrupt(self, views: list[Tensor], rng: BatchRng) -> list[Tensor]:
        """Draw the mask of each image."""
        return [self.frequency_filter(views[0], rng)]

    def removed(self, views: list[Tensor], corrupted: list[Tensor]) -> list[Tensor]:
        """Count the coefficients that the masks of each view hide."""
        return [removed_count(keep, views[0].shape[-1]) for keep in corrupted]

    def forward(
        self,
        views: list[Float[Tensor, "b 3 h w"]],
        corrupted: list[Bool[Tensor, "b m h w_half"]],
        removed: list[Float[Tensor, ""]] | None = None,
    ) -> Losses:
        """Return `loss` and its parts for one view of each image.

        Args:
            views: the one view, unfiltered, in [0, 1].
            corrupted: the frequencies of it that the encoder may see.
            removed: see `masked_frequency_loss`; needed where the images are a part of a batch.
        """
        (images,), (keep,) = views, corrupted
        filtered = self.filtered(images, keep)
        features = self._features(filtered)
        predicted = self._predicted(features)
        loss = self._reconstruction_loss(predicted, images, keep, removed[0] if removed else None)
        return {
            "loss": loss,
            "loss/reconstruction": loss.detach(),
            **self._indicators(filtered, features),
        }

    def reconstruct(
        self, images: Float[Tensor, "b 3 h w"], keep: Bool[Tensor, "b m h w_half"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the normalized images that the model predicts after seeing a part of them."""
        return self.rebuild(self.filtered(images, keep))

    def filtered(
        self, images: Float[Tensor, "b 3 h w"], keep: Bool[Tensor, "b m h w_half"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Return what the filter leaves, before the clip."""
        if self.reconstruction.filter_stage == "after":
            images = self.normalize(images)
        return apply_filter(images, keep, clamp=False, inverse=self.reconstruction.inverse)
