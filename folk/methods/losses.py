"""Masked-frequency and distillation losses."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import log_softmax, softmax

from folk.filters.spectrum import multiplicity, squared_moduli


@dataclass(frozen=True)
class WeightMatrix:
    """Weigh each coefficient by how wrong it is, so that training attends to the worst ones.

    A weight is the modulus of the difference to the power `alpha`, over the largest of them. It
    gets no gradient.

    Attributes:
        alpha: exponent.
        log: take log(1 + weight) before the division.
        maximum: the largest of each image's color, or of the whole batch.

    Source: focal frequency loss, arXiv:2012.12821, as Jiahao000/MFM@c9194b1,
        models/frequency_loss.py, has it; switched off in MFM.
    """

    alpha: float = 1.0
    log: bool = False
    maximum: Literal["image", "batch"] = "image"

    def __call__(self, squared: Float[Tensor, "b c h w_half"]) -> Float[Tensor, "b c h w_half"]:
        """Return weights in [0, 1] for the squared moduli of the differences."""
        weights = squared.detach() ** (self.alpha / 2.0)
        if self.log:
            weights = torch.log1p(weights)
        dims = (-2, -1) if self.maximum == "image" else (0, 1, 2, 3)
        largest = weights.amax(dims, keepdim=True)
        # Where nothing is wrong nothing needs a weight.
        normal: Tensor = torch.where(largest > 0.0, weights / largest, 0.0)
        return normal.clamp(0.0, 1.0)


def masked_frequency_loss(
    prediction: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    keep: Bool[Tensor, "b m h w_half"] | None,
    normalize: Literal["batch", "image"] = "batch",
    gamma: float = 1.0,
    region: Literal["masked", "all"] = "masked",
    weight_matrix: WeightMatrix | None = None,
    removed: Float[Tensor, ""] | None = None,
    average_spectrum: bool = False,
) -> Float[Tensor, ""]:
    """Compare two batches of images on the frequencies that the filter removed.

    The distance of one coefficient is the modulus of the complex difference of the orthonormal
    spectra, to the power `gamma`. The transform is linear, so the difference of the images is
    transformed once; the average runs over the full spectrum although half of it is computed.

    Args:
        target: the unfiltered images, normalized like the prediction.
        keep: what the student saw; m is 1 or c. None where no frequency was removed as such: then
            all are compared.
        normalize: "batch" divides the sum over the batch by the number of removed coefficients of
            the batch, so an image counts by how much was removed from it; "image" averages each
            image first.
        region: "all" compares kept frequencies too.
        weight_matrix: weights of the coefficients; None weighs all alike.
        removed: what "batch" divides by, where these images are a part of a batch: the mean over
            the parts of `removed_count`, so that the mean of their losses is the loss of the batch.
        average_spectrum: compare the mean spectra of both batches, not image by image; needs
            region "all", because images hide different frequencies.

    Returns:
        the mean distance, in float32 or better; 0 where nothing at all was removed.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/frequency_loss.py L55-65 and
        models/mfm.py L237-239, which normalizes by batch.
    """
    width = target.shape[-1]
    # Cast before the subtraction: in half precision it would round away the small differences.
    difference = _wide(prediction) - _wide(target)
    if average_spectrum:
        assert region == "all" or keep is None, "a mean spectrum has no mask"
        # The mean of spectra is the spectrum of the mean.
        difference, keep = difference.mean(dim=0, keepdim=True), None
    squared = squared_moduli(difference)
    distance = (squared + 1e-12) ** (gamma / 2.0)
    if weight_matrix is not None:
        distance = distance * weight_matrix(squared)
    weights = multiplicity(width, target.device).to(distance.dtype)
    if keep is not None and region == "masked":
        weights = torch.where(keep, 0.0, weights)
    weights = weights.expand_as(distance)
    dims = (0, 1, 2, 3) if normalize == "batch" else (1, 2, 3)
    counts = weights.sum(dims)
    if normalize == "batch" and removed is not None and keep is not None and region == "masked":
        counts = removed * (target.shape[1] / keep.shape[1])
    # At least 1: an image of which a filter keeps all would divide 0 by 0.
    loss: Tensor = (weights * distance).sum(dims) / counts.clamp(min=1.0)
    return loss.mean()


def masked_frequency_norm(
    prediction: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    keep: Bool[Tensor, "b m h w_half"] | None,
) -> Float[Tensor, ""]:
    """Compare two batches of images by one norm over the removed frequencies, as FOLK prints it.

    Each channel of each image is a plain, unscaled DFT of its own; the mean runs over channels and
    images. Com and RCom therefore weigh alike, whatever they remove.

    Args:
        target: the unfiltered images, normalized like the prediction.
        keep: what the student saw; m is 1 or c. None compares all frequencies.

    Source: FOLK, arXiv:2409.10362, Eq. 1 and 3. ASSUME: the norm is taken per channel, since
        footnote 1 treats each channel of an RGB image on its own.
    """
    height, width = target.shape[-2:]
    squared = squared_moduli(_wide(prediction) - _wide(target)) * (height * width)
    weights = multiplicity(width, target.device).to(squared.dtype)
    if keep is not None:
        weights = torch.where(keep, 0.0, weights)
    # The small constant keeps the slope of the root finite where nothing is wrong.
    norms = ((weights * squared).sum(dim=(-2, -1)) + 1e-12).sqrt()
    loss: Tensor = norms.mean()
    return loss


def removed_count(keep: Bool[Tensor, "b m h w_half"], width: int) -> Float[Tensor, ""]:
    """Count the coefficients that a batch of masks removes, mirror images included.

    Args:
        keep: what the student sees; m is 1 or the number of colors.
        width: of the images in pixels.
    """
    return (~keep * multiplicity(width, keep.device)).sum(dtype=torch.float32)


def distillation_loss(
    student_logits: Float[Tensor, "b k"],
    teacher_logits: Float[Tensor, "b k"],
    center: Float[Tensor, "k"],
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, ""]:
    """Cross-entropy between the teacher's centered, sharpened distribution and the student's.

    Args:
        student_logits: prototype logits of one view.
        teacher_logits: prototype logits of the other view of the same images; gets no gradient.
        center: running mean of the teacher's logits.
        teacher_temperature: divides the teacher's centered logits; smaller is sharper.

    Returns:
        the mean over the images.

    Source: FOLK, arXiv:2409.10362, Eq. 4 and 5, one term of the sum; DINO, arXiv:2104.14294,
        Algorithm 1.
    """
    teacher = softmax((_wide(teacher_logits.detach()) - center) / teacher_temperature, dim=-1)
    student = log_softmax(_wide(student_logits) / student_temperature, dim=-1)
    loss: Tensor = -(teacher * student).sum(dim=-1).mean()
    return loss


def _wide(values: Tensor) -> Tensor:
    return values if values.itemsize == 8 else values.float()
