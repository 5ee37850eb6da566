"""Images moved a little, within a bound on every pixel, so that a classifier errs.

A classifier here is a function from images in [0, 1] to logits: it normalizes by itself, so that
bounds are in the units of pixels.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

Classifier = Callable[[Tensor], Tensor]


def fgsm(
    classifier: Classifier, images: Float[Tensor, "b c h w"], labels: Int[Tensor, "b"], eps: float
) -> Float[Tensor, "b c h w"]:
    """Move every pixel by `eps` up the slope of the loss, once.

    Args:
        classifier: images in [0, 1] -> logits.
        images: in [0, 1].
        labels: true classes.
        eps: largest change of a pixel, in [0, 1]; 1/255 is one gray level.

    Returns:
        the images moved, in [0, 1], without gradient. A pixel on which the loss does not depend
        stays.

    Source: FGSM, I. Goodfellow et al., arXiv:1412.6572.
    """
    return (images + eps * _slope(classifier, images, labels).sign()).clamp(0.0, 1.0).detach()


def pgd(
    classifier: Classifier,
    images: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b"],
    *,
    eps: float,
    step: float,
    steps: int,
    start: Float[Tensor, "b c h w"] | None = None,
) -> Float[Tensor, "b c h w"]:
    """Climb the loss in small steps of one sign each, staying within `eps` of the image.

    Args:
        classifier: images in [0, 1] -> logits.
        images: in [0, 1].
        labels: true classes.
        eps: largest change of a pixel in the end, in [0, 1].
        step: change of a pixel in one step, in [0, 1].
        steps: how many.
        start: where the climb begins, as a change of each pixel in [-eps, eps]; None begins at the
            images themselves.

    Returns:
        the images moved, in [0, 1], without gradient.

    Source: PGD, A. Madry et al., arXiv:1706.06083.
    """
    low, high = (images - eps).clamp(min=0.0), (images + eps).clamp(max=1.0)
    moved = images if start is None else torch.clamp(images + start, low, high)
    for _ in range(steps):
        moved = moved + step * _slope(classifier, moved, labels).sign()
        moved = torch.clamp(moved, low, high).detach()
    return moved


def _slope(
    classifier: Classifier, images: Float[Tensor, "b c h w"], labels: Int[Tensor, "b"]
) -> Float[Tensor, "b c h w"]:
    """Gradient of the loss by the images, each image's loss on its own."""
    with torch.enable_grad():
        asked = images.detach().requires_grad_()
        # A sum: a mean would shrink slopes with the batch until they vanish in float32.
        loss = cross_entropy(classifier(asked).float(), labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, asked)
    return slope
