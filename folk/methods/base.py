"""Base of all methods: an encoder that sees a corrupted image, and a reconstruction head.

A method is one `nn.Module`. A training step asks it in this order:

1. `corrupt(views, rng)`: masks, or degraded images, one for each view;
2. `forward(views, corrupted, removed, **scheduled(epoch))`: losses; `loss` is what is minimized;
3. `after_backward(epoch)`: a last look at the gradients;
4. `after_step(update, updates)`: what follows the optimizer, such as the teacher.

`forward` uses every trained parameter, as `DistributedDataParallel` needs. Images come in [0, 1];
they are filtered and normalized here. `clipped_share`, logged with the losses, is the share of
values of the corrupted images outside [0, 1], which a clip changes: about half of a high-pass
image, hardly any of a low-pass one. `feature_std` shows a collapse, see `indicators`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from folk.filters.apply import clipped_fraction
from folk.filters.rng import BatchRng
from folk.methods.indicators import feature_std
from folk.methods.losses import WeightMatrix, masked_frequency_loss, masked_frequency_norm
from folk.models.encoder import Features, encode
from folk.models.heads import ReconstructionHead

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Reconstruction:
    """Prediction of the removed frequencies; see `apply_filter` and `masked_frequency_loss`.

    Attributes:
        filter_stage: the filter acts before or after the mean/std normalization.
        clamp: clip what the encoder sees to [0, 1], degraded images too.
        inverse: of the transform, for filtered images alone.
        form: "mfm" is `masked_frequency_loss`, "norm" is `masked_frequency_norm`, to which
            `normalize` and `gamma` mean nothing.
        decoder_depth: transformer blocks before the head.
        weight: of this loss; with 0 there is no head, which FOLK alone allows.
    """

    filter_stage: Literal["before", "after"] = "before"
    clamp: bool = True
    inverse: Literal["real", "abs"] = "real"
    form: Literal["mfm", "norm"] = "mfm"
    normalize: Literal["batch", "image"] = "batch"
    gamma: float = 1.0
    region: Literal["masked", "all"] = "masked"
    weight_matrix: WeightMatrix | None = None
    average_spectrum: bool = False
    decoder_depth: int = 0
    weight: float = 1.0


class Method(nn.Module):
    """An encoder, a linear head per token, and the frequency loss between its image and the view.

    Args:
        encoder: a timm encoder without classifier.
        mean: of each color, for the normalization of images in [0, 1].
        std: of each color.
    """

    num_views = 1
    feature: Literal["cls", "mean"] = "mean"  # that is watched for a collapse
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        reconstruction: Reconstruction | None = None,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.reconstruction = reconstruction or Reconstruction()
        self.reconstruction_head = (
            ReconstructionHead.for_encoder(encoder, self.reconstruction.decoder_depth)
            if self.reconstruction.weight > 0.0
            else None
        )
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def corrupt(self, views: list[Tensor], rng: BatchRng) -> list[Tensor]:
        """Draw the corruption of each view: a mask for each image, or the degraded images."""
        raise NotImplementedError

    def removed(self, views: list[Tensor], corrupted: list[Tensor]) -> list[Tensor]:
        """Count the coefficients that are hidden of each view; nothing where none is as such."""
        return []

    def scheduled(self, epoch: int) -> dict[str, float]:
        """Return the arguments of `forward` that change with the epoch."""
        return {}

    def after_backward(self, epoch: float) -> None:
        """Change the gradients before they are clipped."""

    def after_step(self, update: int, updates: int) -> None:
        """Follow the optimizer, which has made `update` (from 0) of `updates`."""

    def normalize(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Center and scale the colors."""
        return (images - self.mean) / self.std

    def encoder_input(self, seen: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return the input of the encoder: corrupted images, clipped if so set, and normalized."""
        if self.reconstruction.filter_stage == "after":
            return seen
        return self.normalize(seen.clamp(0.0, 1.0) if self.reconstruction.clamp else seen)

    def rebuild(self, seen: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return the normalized images that the model predicts after seeing `seen`."""
        return self._predicted(self._features(seen))

    def _features(self, seen: Tensor) -> Features:
        return encode(self.encoder, self.encoder_input(seen))

    def _predicted(self, features: Features) -> Tensor:
        assert self.reconstruction_head is not None
        predicted: Tensor = self.reconstruction_head(features.map, features.class_token)
        return predicted

    def _indicators(self, seen: Tensor, features: Features) -> Losses:
        # Normalized images have no range that a clip could keep.
        is_raw = self.reconstruction.filter_stage == "before"
        clipped = {"clipped_share": clipped_fraction(seen)} if is_raw else {}
        return clipped | feature_std(features.pooled(self.feature))

    def _reconstruction_loss(
        self,
        predicted: Tensor,
        images: Tensor,
        keep: Tensor | None,
        removed: Tensor | None = None,
    ) -> Tensor:
        settings, target = self.reconstruction, self.normalize(images)
        if settings.form == "norm":
            return masked_frequency_norm(
                predicted, target, keep if settings.region == "masked" else None
            )
        return masked_frequency_loss(
            predicted,
            target,
            keep,
            normalize=settings.normalize,
            gamma=settings.gamma,
            region=settings.region,
            weight_matrix=settings.weight_matrix,
            removed=removed,
            average_spectrum=settings.average_spectrum,
        )
