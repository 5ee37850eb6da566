"""The modules that a pre-training step calls: views and masks in, losses out.

`clipped_share` beside the losses is the share of values of the filtered images outside [0, 1],
which a clip changes: about half of a high-pass image, hardly any of a low-pass one.

Each is one `nn.Module` whose `forward` uses every trained parameter, as
`DistributedDataParallel` needs. Images come in [0, 1]; they are filtered and normalized here.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from timm.layers import DropPath
from torch import Tensor, nn

from folk.filters.apply import apply_filter, clipped_fraction
from folk.methods.distillation import Centering, DistillationHead, PlainHead, ema_update
from folk.methods.losses import (
    WeightMatrix,
    distillation_loss,
    masked_frequency_loss,
    masked_frequency_norm,
)
from folk.models.encoder import encode
from folk.models.heads import ReconstructionHead

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Reconstruction:
    """How missing frequencies are predicted; see `apply_filter` and `masked_frequency_loss`.

    Attributes:
        filter_stage: the filter acts before or after the mean/std normalization.
        clamp: clip what the encoder sees to [0, 1], degraded images too.
        inverse: of the transform, for filtered images alone.
        form: "mfm" is `masked_frequency_loss`, "norm" is `masked_frequency_norm`, to which
            `normalize` and `gamma` mean nothing.
        decoder_depth: transformer blocks before the head.
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


@dataclass(frozen=True)
class Distillation:
    """How the teacher's output for the other view is predicted.

    Attributes:
        alpha: weight of this loss beside that of the reconstruction.
        reduce: of the two crossed terms, their sum or their mean.
        feature: what the head sees, the class token or the mean of the patch tokens; encoders
            without a class token always give the mean.
        student_temperature: divides the student's logits.

    Source: FOLK, arXiv:2409.10362, Eq. 5 (a sum) and Eq. 6 (alpha = 1). Temperature 0.1 is DINO's.
    """

    alpha: float = 1.0
    reduce: Literal["sum", "mean"] = "sum"
    feature: Literal["cls", "mean"] = "cls"
    student_temperature: float = 0.1


class FrequencyModel(nn.Module):
    """An encoder that sees a spoiled image and a head that predicts its spectrum.

    Args:
        encoder: a timm encoder without classifier.
        mean: of each color, for the normalization of images in [0, 1].
        std: of each color.
        reconstruction: settings of the loss.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        reconstruction: Reconstruction,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.reconstruction_head = ReconstructionHead.for_encoder(
            encoder, reconstruction.decoder_depth
        )
        self.reconstruction = reconstruction
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def normalize(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Center and scale the colors."""
        return (images - self.mean) / self.std

    def encoder_input(self, seen: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return what the encoder gets of spoiled images: clipped, if so, and normalized."""
        if self.reconstruction.filter_stage == "after":
            return seen
        return self.normalize(seen.clamp(0.0, 1.0) if self.reconstruction.clamp else seen)

    def rebuild(self, seen: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return the normalized images that the model predicts after seeing `seen`."""
        features = encode(self.encoder, self.encoder_input(seen))
        predicted: Tensor = self.reconstruction_head(features.map, features.class_token)
        return predicted

    def _clipped_share(self, seen: Tensor) -> Losses:
        # Normalized images have no range that a clip could keep.
        is_raw = self.reconstruction.filter_stage == "before"
        return {"clipped_share": clipped_fraction(seen)} if is_raw else {}

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


class RestorationModel(FrequencyModel):
    """SR, Deblur, Denoise: see a degraded image, predict the spectrum of the whole one.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py and frequency_loss.py: the
        restoration tasks use MFM's head and the frequency loss over the complete spectrum.
    """

    def forward(
        self, images: Float[Tensor, "b 3 h w"], degraded: Float[Tensor, "b 3 h w"]
    ) -> Losses:
        """Return `loss` and its parts; both images in [0, 1] but for what the task adds."""
        reconstruction = self._reconstruction_loss(self.rebuild(degraded), images, None)
        return {
            "loss": reconstruction,
            "loss/reconstruction": reconstruction.detach(),
            **self._clipped_share(degraded),
        }


class MaskedFrequencyModel(FrequencyModel):
    """MFM: see a filtered image, predict the frequencies that are missing.

    Source: MFM, arXiv:2206.07706, Fig. 2. With the Com/RCom filter it is the row "MFM + R/Com" of
        FOLK, arXiv:2409.10362, Table 1.
    """

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        keep: Bool[Tensor, "b m h w_half"],
        removed: Float[Tensor, ""] | None = None,
    ) -> Losses:
        """Return `loss` and its parts for one view of each image.

        Args:
            images: unfiltered, in [0, 1].
            keep: the frequencies that the encoder may see.
            removed: see `masked_frequency_loss`; needed where the images are a part of a batch.
        """
        filtered = self.filtered(images, keep)
        reconstruction = self._reconstruction_loss(self.rebuild(filtered), images, keep, removed)
        return {
            "loss": reconstruction,
            "loss/reconstruction": reconstruction.detach(),
            **self._clipped_share(filtered),
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


class StudentTeacher(MaskedFrequencyModel):
    """FOLK: predict missing frequencies, and the teacher's output for the other, unfiltered view.

    The student sees filtered views only. The teacher sees unfiltered views, has no reconstruction
    head and gets no gradient; `update_teacher` moves it towards the student.

    Args:
        encoder: the student's; the teacher starts as a copy of it.
        mean: of each color.
        std: of each color.
        reconstruction: settings of the first task.
        distillation: settings of the second task.
        distillation_head: the student's; the teacher starts with a copy of it.
        center_momentum: of the running mean of the teacher's logits.

    Source: FOLK, arXiv:2409.10362, Eq. 1 to 6 and Fig. 3. Sizes of the head, temperatures and the
        centering's momentum are in an appendix that is not known to us; DINO's,
        arXiv:2104.14294, are used.
    """

    def __init__(
        self,
        encoder: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        reconstruction: Reconstruction,
        distillation: Distillation,
        distillation_head: DistillationHead | PlainHead,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__(encoder, mean, std, reconstruction)
        self.distillation = distillation
        self.distillation_head = distillation_head
        self.teacher_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.teacher_head = copy.deepcopy(distillation_head).requires_grad_(False)
        for module in self.teacher_encoder.modules():
            if isinstance(module, DropPath):
                module.drop_prob = 0.0  # only the student is regularized
        out_features = distillation_head.last_layer.weight.shape[0]
        self.centering = Centering(out_features, center_momentum)

    def forward(  # type: ignore[override]  # two views instead of one
        self,
        u: Float[Tensor, "b 3 h w"],
        v: Float[Tensor, "b 3 h w"],
        teacher_u: Float[Tensor, "b 3 h w"],
        teacher_v: Float[Tensor, "b 3 h w"],
        keep_u: Bool[Tensor, "b m h w_half"],
        keep_v: Bool[Tensor, "b m h w_half"],
        teacher_temperature: float,
        removed: tuple[Float[Tensor, ""], Float[Tensor, ""]] | None = None,
    ) -> Losses:
        """Return `loss` and its parts for two views of each image.

        In training mode the teacher's logits are remembered; `centering.move` takes them in once
        the whole batch was seen.

        Args:
            u: one view, unfiltered, in [0, 1].
            v: the other view.
            teacher_u: what the teacher sees of the first view; u itself unless a recipe says
                otherwise.
            teacher_v: what it sees of the second.
            keep_u: the frequencies of u that the student may see.
            keep_v: the frequencies of v that the student may see.
            teacher_temperature: of this step.
            removed: of both views; see `masked_frequency_loss`.
        """
        teacher_logits = self.teacher_logits(torch.cat([teacher_u, teacher_v]))
        teacher_logits_u, teacher_logits_v = teacher_logits.chunk(2)

        filtered = self.filtered(torch.cat([u, v]), torch.cat([keep_u, keep_v]))
        features = encode(self.encoder, self.encoder_input(filtered))
        predicted = self.reconstruction_head(features.map, features.class_token)
        predicted_u, predicted_v = predicted.chunk(2)
        pooled = features.pooled(self.distillation.feature)
        student_logits_u, student_logits_v = self.distillation_head(pooled).chunk(2)

        # Eq. 3, the mean over both views.
        removed_u, removed_v = removed or (None, None)
        reconstruction = 0.5 * (
            self._reconstruction_loss(predicted_u, u, keep_u, removed_u)
            + self._reconstruction_loss(predicted_v, v, keep_v, removed_v)
        )
        # Eq. 5, crossed: each filtered view predicts the teacher's output for the other view.
        center = self.centering.center
        temperatures = self.distillation.student_temperature, teacher_temperature
        distillation = distillation_loss(
            student_logits_v, teacher_logits_u, center, *temperatures
        ) + distillation_loss(student_logits_u, teacher_logits_v, center, *temperatures)
        if self.distillation.reduce == "mean":
            distillation = 0.5 * distillation
        if self.training:
            self.centering.observe(teacher_logits)
        return {
            "loss": self.distillation.alpha * distillation + reconstruction,  # Eq. 6
            "loss/reconstruction": reconstruction.detach(),
            "loss/distillation": distillation.detach(),
            **self._clipped_share(filtered),
        }

    @torch.no_grad()
    def teacher_logits(self, views: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """Return the teacher's prototype logits for unfiltered views in [0, 1]."""
        features = encode(self.teacher_encoder, self.normalize(views))
        logits: Tensor = self.teacher_head(features.pooled(self.distillation.feature))
        return logits

    def update_teacher(self, momentum: float) -> None:
        """Move the teacher's encoder and head towards the student's."""
        ema_update(
            [*self.teacher_encoder.parameters(), *self.teacher_head.parameters()],
            [*self.encoder.parameters(), *self.distillation_head.parameters()],
            momentum,
        )
