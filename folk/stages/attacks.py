"""L-infinity adversarial attacks: FGSM and PGD.

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
    """Attack with FGSM: move every pixel by `eps` along the sign of the loss gradient.

    Args:
        classifier: images in [0, 1] -> logits.
        eps: largest change of a pixel, in [0, 1]; 1/255 is one gray level.

    Returns:
        the attacked images, in [0, 1], without gradient. A pixel without influence on the loss is
        unchanged.

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
    """Attack with PGD: small signed gradient steps that stay within `eps` of the image.

    Args:
        classifier: images in [0, 1] -> logits.
        eps: largest change of a pixel in the end, in [0, 1].
        step: change of a pixel in one step, in [0, 1].
        start: initial change of each pixel in [-eps, eps]; None starts at the images themselves.

    Returns:
        the attacked images, in [0, 1], without gradient.

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
    """Gradient of each image's loss with respect to its pixels."""
    with torch.enable_grad():
        asked = images.detach().requires_grad_()
        # A sum: a mean would shrink slopes with the batch until they vanish in float32.
        loss = cross_entropy(classifier(asked).float(), labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, asked)
    return slope
