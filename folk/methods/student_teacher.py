"""The modules that a pre-training step calls: pictures and masks in, losses out.

`clipped_share` beside the losses is the share of values of the filtered pictures outside [0, 1],
which a clip changes: about half of a high-pass picture, hardly any of a low-pass one.

Each is one `nn.Module` whose `forward` uses every trained parameter, as
`DistributedDataParallel` needs. Pictures come in [0, 1]; they are filtered, then normalised, here.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from timm.layers import DropPath
from torch import Tensor, nn

from folk.methods.distillation import Centering, DistillationHead, ema_update
from folk.methods.filters.apply import apply_filter, clipped_fraction
from folk.methods.losses import WeightMatrix, distillation_loss, masked_frequency_loss
from folk.models.encoder import encode
from folk.models.heads import ReconstructionHead

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Reconstruction:
    """How missing frequencies are predicted; see `apply_filter` and `masked_frequency_loss`.

    `clamp` is for degraded pictures too, `inverse` for filtered ones alone; `decoder_depth` belongs
    to the head.
    """

    weight: float = 1.0
    clamp: bool = True
    inverse: Literal["real", "abs"] = "real"
    normalise: Literal["batch", "image"] = "batch"
    gamma: float = 1.0
    region: Literal["masked", "all"] = "masked"
    weight_matrix: WeightMatrix | None = None
    average_spectrum: bool = False
    decoder_depth: int = 0


@dataclass(frozen=True)
class Distillation:
    """How the teacher's names are predicted.

    Attributes:
        weight: of this loss in the sum.
        feature: what the head sees, the class token or the mean of the patch tokens; encoders
            without a class token always give the mean.
        student_temperature: divides the student's logits.

    Source: ASSUME: FOLK's weights are unknown, 1 : 1 here. Temperature 0.1 is DINO's.
    """

    weight: float = 1.0
    feature: Literal["cls", "mean"] = "cls"
    student_temperature: float = 0.1


class FrequencyModel(nn.Module):
    """An encoder that sees a spoiled picture and a head that predicts its spectrum.

    Args:
        encoder: a timm encoder without classifier.
        mean: of each colour, for the normalisation of pictures in [0, 1].
        std: of each colour.
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

    def normalise(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Centre and scale the colours."""
        return (images - self.mean) / self.std

    def rebuild(self, seen: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return the normalised picture that the model believes in after seeing `seen`."""
        features = encode(self.encoder, self.normalise(self._clipped(seen)))
        predicted: Tensor = self.reconstruction_head(features.map)
        return predicted

    def _clipped(self, seen: Tensor) -> Tensor:
        return seen.clamp(0.0, 1.0) if self.reconstruction.clamp else seen

    def _reconstruction_loss(
        self,
        predicted: Tensor,
        images: Tensor,
        keep: Tensor | None,
        removed: Tensor | None = None,
    ) -> Tensor:
        settings = self.reconstruction
        return masked_frequency_loss(
            predicted,
            self.normalise(images),
            keep,
            normalise=settings.normalise,
            gamma=settings.gamma,
            region=settings.region,
            weight_matrix=settings.weight_matrix,
            removed=removed,
            average_spectrum=settings.average_spectrum,
        )


class RestorationModel(FrequencyModel):
    """SR, Deblur, Denoise: see a degraded picture, predict the spectrum of the whole one.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py and frequency_loss.py: the
        restoration tasks use MFM's head and the frequency loss over the complete spectrum.
    """

    def forward(
        self, images: Float[Tensor, "b 3 h w"], degraded: Float[Tensor, "b 3 h w"]
    ) -> Losses:
        """Return `loss` and its parts; both pictures in [0, 1] but for what the task adds."""
        reconstruction = self._reconstruction_loss(self.rebuild(degraded), images, None)
        return {
            "loss": self.reconstruction.weight * reconstruction,
            "loss/reconstruction": reconstruction.detach(),
            "clipped_share": clipped_fraction(degraded),
        }


class MaskedFrequencyModel(FrequencyModel):
    """MFM: see a filtered picture, predict the frequencies that are missing.

    Source: MFM, arXiv:2206.07706, Fig. 2. With the Com/RCom filter it is the row "MFM + R/Com" of
        FOLK, arXiv:2409.10362, Table 1.
    """

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        keep: Bool[Tensor, "b m h w_half"],
        removed: Float[Tensor, ""] | None = None,
    ) -> Losses:
        """Return `loss` and its parts for one view of each picture.

        Args:
            images: unfiltered, in [0, 1].
            keep: the frequencies that the encoder may see.
            removed: see `masked_frequency_loss`; needed where the pictures are a part of a batch.
        """
        filtered = self.filtered(images, keep)
        reconstruction = self._reconstruction_loss(self.rebuild(filtered), images, keep, removed)
        return {
            "loss": self.reconstruction.weight * reconstruction,
            "loss/reconstruction": reconstruction.detach(),
            "clipped_share": clipped_fraction(filtered),
        }

    def reconstruct(
        self, images: Float[Tensor, "b 3 h w"], keep: Bool[Tensor, "b m h w_half"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Return the normalised picture that the model believes in after seeing a part of it."""
        return self.rebuild(self.filtered(images, keep))

    def filtered(
        self, images: Float[Tensor, "b 3 h w"], keep: Bool[Tensor, "b m h w_half"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Return what the filter leaves, before the clip."""
        return apply_filter(images, keep, clamp=False, inverse=self.reconstruction.inverse)


class StudentTeacher(MaskedFrequencyModel):
    """FOLK: predict missing frequencies, and the teacher's name for the other, whole view.

    The student sees filtered views only. The teacher sees the views as they are, has no
    reconstruction head and gets no gradient; `update_teacher` lets it follow the student.

    Args:
        encoder: the student's; the teacher starts as a copy of it.
        mean: of each colour.
        std: of each colour.
        reconstruction: settings of the first task.
        distillation: settings of the second task.
        distillation_head: the student's; the teacher starts with a copy of it.
        center_momentum: of the running mean of the teacher's outputs.

    Source: FOLK, arXiv:2409.10362, Fig. 3. The paper's loss weights, head and centring are unknown;
        DINO's, arXiv:2104.14294, are used.
    """

    def __init__(
        self,
        encoder: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        reconstruction: Reconstruction,
        distillation: Distillation,
        distillation_head: DistillationHead,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__(encoder, mean, std, reconstruction)
        self.distillation = distillation
        self.distillation_head = distillation_head
        self.teacher_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.teacher_head = copy.deepcopy(distillation_head).requires_grad_(False)
        for module in self.teacher_encoder.modules():
            if isinstance(module, DropPath):
                module.drop_prob = 0.0  # only the student is regularised
        out_features = distillation_head.last_layer.weight.shape[0]
        self.centering = Centering(out_features, center_momentum)

    def forward(  # type: ignore[override]  # two views instead of one
        self,
        u: Float[Tensor, "b 3 h w"],
        v: Float[Tensor, "b 3 h w"],
        keep_u: Bool[Tensor, "b m h w_half"],
        keep_v: Bool[Tensor, "b m h w_half"],
        teacher_temperature: float,
        removed: tuple[Float[Tensor, ""], Float[Tensor, ""]] | None = None,
    ) -> Losses:
        """Return `loss` and its parts for two views of each picture.

        In training mode the teacher's outputs are remembered; `centering.move` takes them in once
        the whole batch was seen.

        Args:
            u: one view, unfiltered, in [0, 1].
            v: the other view.
            keep_u: the frequencies of u that the student may see.
            keep_v: the frequencies of v that the student may see.
            teacher_temperature: of this step.
            removed: of both views; see `masked_frequency_loss`.
        """
        views, keep = torch.cat([u, v]), torch.cat([keep_u, keep_v])
        name_u, name_v = self.teacher_logits(views).chunk(2)

        filtered = self.filtered(views, keep)
        seen = encode(self.encoder, self.normalise(self._clipped(filtered)))
        predicted_u, predicted_v = self.reconstruction_head(seen.map).chunk(2)
        guess_u, guess_v = self.distillation_head(seen.pooled(self.distillation.feature)).chunk(2)

        removed_u, removed_v = removed or (None, None)
        reconstruction = 0.5 * (
            self._reconstruction_loss(predicted_u, u, keep_u, removed_u)
            + self._reconstruction_loss(predicted_v, v, keep_v, removed_v)
        )
        # Crossed: each filtered view must name what the teacher saw in the other view.
        center = self.centering.center
        temperatures = self.distillation.student_temperature, teacher_temperature
        distillation = 0.5 * (
            distillation_loss(guess_u, name_v, center, *temperatures)
            + distillation_loss(guess_v, name_u, center, *temperatures)
        )
        if self.training:
            self.centering.observe(torch.cat([name_u, name_v]))
        loss = self.reconstruction.weight * reconstruction + self.distillation.weight * distillation
        return {
            "loss": loss,
            "loss/reconstruction": reconstruction.detach(),
            "loss/distillation": distillation.detach(),
            "clipped_share": clipped_fraction(filtered),
        }

    @torch.no_grad()
    def teacher_logits(self, views: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """Return the teacher's outputs for whole views in [0, 1]."""
        features = encode(self.teacher_encoder, self.normalise(views))
        logits: Tensor = self.teacher_head(features.pooled(self.distillation.feature))
        return logits

    def update_teacher(self, momentum: float) -> None:
        """Let the teacher's encoder and head follow the student's."""
        ema_update(
            [*self.teacher_encoder.parameters(), *self.teacher_head.parameters()],
            [*self.encoder.parameters(), *self.distillation_head.parameters()],
            momentum,
        )
