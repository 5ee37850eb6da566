"""Signs of a collapse, logged with the losses: the encoder or the teacher ignores the images."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


@torch.no_grad()
def feature_std(features: Float[Tensor, "b d"]) -> dict[str, Tensor]:
    """Measure how much the directions of features differ from image to image.

    Args:
        features: pooled, one for each image.

    Returns:
        `feature_std`: the standard deviation over the images of the features of length 1, its mean
        over the d numbers, times sqrt(d). Directions without preference have 1, equal features 0.
        Nothing for a single image, which has no deviation.

    Source: SimSiam, arXiv:2011.10566, section 4.1, where 1 / sqrt(d) is the healthy value.
    """
    if len(features) < 2:
        return {}
    directions = normalize(features.float(), dim=-1)
    return {"feature_std": directions.std(dim=0).mean() * features.shape[1] ** 0.5}


@torch.no_grad()
def teacher_entropies(
    teacher_logits: Float[Tensor, "b k"], center: Float[Tensor, "k"], temperature: float
) -> dict[str, Tensor]:
    """Measure how sharp the teacher's distributions are, and how many prototypes it uses.

    Returns:
        `teacher_entropy`, the mean over the images of the distribution's entropy, and
        `teacher_entropy_of_mean`, the entropy of the mean distribution, in nats. Both are log(k)
        where no image has a favorite prototype. The second is 0 where all have the same one.
    """
    shares = torch.log_softmax((teacher_logits.float() - center) / temperature, dim=-1)
    chances = shares.exp()
    return {
        "teacher_entropy": -(chances * shares).sum(dim=-1).mean(),
        "teacher_entropy_of_mean": torch.special.entr(chances.mean(dim=0)).sum(),
    }
