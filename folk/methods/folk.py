"""FOLK: masked frequency modeling with self-distillation from an EMA teacher."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import DropPath
from torch import Tensor, nn

from folk.filters.base import FrequencyFilter
from folk.filters.rng import BatchRng
from folk.methods.base import Losses, Reconstruction
from folk.methods.distillation import (
    Centering,
    DistillationHead,
    PlainHead,
    cancel_last_layer_gradients,
    cosine,
    ema_update,
    teacher_temperature,
)
from folk.methods.indicators import teacher_entropies
from folk.methods.losses import distillation_loss
from folk.methods.mfm import MFM
from folk.models.encoder import encode


@dataclass(frozen=True)
class Distillation:
    """Prediction of the teacher's output for the other view, and the teacher's EMA.

    Attributes:
        alpha: weight of this loss; that of the reconstruction is 1.
        reduce: of the two crossed terms, their sum or their mean.
        feature: what the head sees, the class token or the mean of the patch tokens; encoders
            without a class token always give the mean.
        student_temperature: divides the student's logits.
        teacher_temperature: divides the teacher's centered logits.
        teacher_temperature_start: its value in epoch 0 of a warm-up.
        teacher_temperature_warmup_epochs: length of that warm-up.
        center_momentum: of the running mean of the teacher's logits.
        ema_start: momentum of the teacher at the first update; a half cosine leads to `ema_end`.
        ema_end: momentum of the teacher at the last update.
        ema_every: updates between two steps of the teacher.
        freeze_last_layer_epochs: how long the head's last layer stays as it is.

    Source: FOLK, arXiv:2409.10362, Eq. 5 (a sum) and Eq. 6 (alpha = 1). All else is DINO's,
        arXiv:2104.14294.
    """

    alpha: float = 1.0
    reduce: Literal["sum", "mean"] = "sum"
    feature: Literal["cls", "mean"] = "cls"
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    teacher_temperature_start: float = 0.04
    teacher_temperature_warmup_epochs: int = 0
    center_momentum: float = 0.9
    ema_start: float = 0.996
    ema_end: float = 1.0
    ema_every: int = 1
    freeze_last_layer_epochs: float = 1.0


class FOLK(MFM):
    """Predict missing frequencies, and the teacher's output for the other, unfiltered view.

    The student sees filtered views only. The teacher sees unfiltered views, has no reconstruction
    head and gets no gradient; it follows the student.

    Args:
        encoder: the student's; the teacher starts as a copy of it.
        frequency_filter: draws which frequencies of each view the student may see.
        distillation_head: the student's; the teacher starts with a copy of it.
        distillation: settings of the second task.
        reconstruction: settings of the first task.
        mean: of each color, for the normalization of images in [0, 1].
        std: of each color.

    Source: FOLK, arXiv:2409.10362, Eq. 1 to 6 and Fig. 3. Sizes of the head, temperatures and the
        centering's momentum are in an appendix that is not known to us; DINO's,
        arXiv:2104.14294, are used.
    """

    num_views = 2

    def __init__(
        self,
        encoder: nn.Module,
        frequency_filter: FrequencyFilter,
        distillation_head: DistillationHead | PlainHead,
        distillation: Distillation | None = None,
        reconstruction: Reconstruction | None = None,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
    ) -> None:
        super().__init__(encoder, frequency_filter, reconstruction, mean, std)
        self.distillation = distillation or Distillation()
        self.feature = self.distillation.feature
        self.distillation_head = distillation_head
        self.teacher_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.teacher_head = copy.deepcopy(distillation_head).requires_grad_(False)
        for module in self.teacher_encoder.modules():
            if isinstance(module, DropPath):
                module.drop_prob = 0.0  # only the student is regularized
        out_features = distillation_head.last_layer.weight.shape[0]
        self.centering = Centering(out_features, self.distillation.center_momentum)

    def corrupt(self, views: list[Tensor], rng: BatchRng) -> list[Tensor]:
        """Draw the masks of both views of each image."""
        u, v = views[:2]
        return [*self.frequency_filter.draw_pair(u, v, rng)]

    def scheduled(self, epoch: int) -> dict[str, float]:
        """Return the teacher's temperature."""
        settings = self.distillation
        return {
            "teacher_temperature": teacher_temperature(
                epoch,
                settings.teacher_temperature_warmup_epochs,
                settings.teacher_temperature_start,
                settings.teacher_temperature,
            )
        }

    def forward(  # type: ignore[override]  # a temperature more than MFM
        self,
        views: list[Float[Tensor, "b 3 h w"]],
        corrupted: list[Bool[Tensor, "b m h w_half"]],
        removed: list[Float[Tensor, ""]] | None = None,
        *,
        teacher_temperature: float,
    ) -> Losses:
        """Return `loss` and its parts for two views of each image.

        In training mode the teacher's logits are remembered; `after_step` takes them into the
        center once the whole batch was seen.

        Args:
            views: u and v, unfiltered, in [0, 1]; then, where the teacher sees other ones, those.
            corrupted: the frequencies of u and of v that the student may see.
            removed: of both views; see `masked_frequency_loss`.
        """
        (u, v), (keep_u, keep_v) = views[:2], corrupted
        teacher_logits = self.teacher_logits(torch.cat(views[-2:]))
        teacher_u, teacher_v = teacher_logits.chunk(2)

        filtered = self.filtered(torch.cat([u, v]), torch.cat(corrupted))
        features = self._features(filtered)
        pooled = features.pooled(self.feature)
        student_u, student_v = self.distillation_head(pooled).chunk(2)

        # Eq. 5, crossed: each filtered view predicts the teacher's output for the other view.
        center = self.centering.center
        temperatures = self.distillation.student_temperature, teacher_temperature
        distillation = distillation_loss(
            student_v, teacher_u, center, *temperatures
        ) + distillation_loss(student_u, teacher_v, center, *temperatures)
        if self.distillation.reduce == "mean":
            distillation = 0.5 * distillation
        if self.training:
            self.centering.observe(teacher_logits)
        losses = {
            "loss": self.distillation.alpha * distillation,
            "loss/distillation": distillation.detach(),
            **self._indicators(filtered, features),
            **teacher_entropies(teacher_logits, center, teacher_temperature),
        }
        if self.reconstruction_head is not None:
            # Eq. 3, the mean over both views.
            predicted_u, predicted_v = self._predicted(features).chunk(2)
            removed_u, removed_v = removed or (None, None)
            reconstruction = 0.5 * (
                self._reconstruction_loss(predicted_u, u, keep_u, removed_u)
                + self._reconstruction_loss(predicted_v, v, keep_v, removed_v)
            )
            losses["loss"] = losses["loss"] + self.reconstruction.weight * reconstruction  # Eq. 6
            losses["loss/reconstruction"] = reconstruction.detach()
        return losses

    @torch.no_grad()
    def teacher_logits(self, views: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """Return the teacher's prototype logits for unfiltered views in [0, 1]."""
        features = encode(self.teacher_encoder, self.normalize(views))
        logits: Tensor = self.teacher_head(features.pooled(self.feature))
        return logits

    def after_backward(self, epoch: float) -> None:
        """Leave the head's last layer as it is in the first epochs."""
        if epoch < self.distillation.freeze_last_layer_epochs:
            cancel_last_layer_gradients(self.distillation_head)

    def after_step(self, update: int, updates: int) -> None:
        """Move the center, and the teacher's encoder and head towards the student's."""
        self.centering.move()
        settings = self.distillation
        if (update + 1) % settings.ema_every == 0:
            self.update_teacher(cosine(update, updates, settings.ema_start, settings.ema_end))

    def update_teacher(self, momentum: float) -> None:
        """Move the teacher's encoder and head towards the student's."""
        ema_update(
            [*self.teacher_encoder.parameters(), *self.teacher_head.parameters()],
            [*self.encoder.parameters(), *self.distillation_head.parameters()],
            momentum,
        )
