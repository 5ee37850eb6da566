"""Pooled features of a frozen encoder."""

import inspect
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from folk.evidence.core.errors import InputError
from folk.models.encoder import encode, has_patch_tokens

Feature = Literal["cls", "mean", "cls-and-mean", "last-4-cls"]

NUM_LAST = 4


def frozen_feature(
    encoder: nn.Module, images: Float[Tensor, "b 3 h w"], which: Feature
) -> Float[Tensor, "b d"]:
    """Run an encoder on normalized images and pool.

    Args:
        which: "cls", the class token, or the mean where an encoder has none; "mean" of the patch
            tokens; "cls-and-mean", both; "last-4-cls", the class tokens of the last four blocks of
            a ViT, each after the last norm, the deepest last.

    Source: DINO, arXiv:2104.14294: k-NN on the class token; linear probe on the last four class
        tokens of ViT-S, and on the last class token with the mean of the patch tokens of ViT-B.

    Raises:
        InputError: "last-4-cls" for an encoder without class token or with fewer blocks.
    """
    if which == "last-4-cls":
        return torch.cat(_last_class_tokens(encoder, images), dim=-1)
    features = encode(encoder, images)
    if which == "cls-and-mean":
        return torch.cat([features.pooled("cls"), features.pooled("mean")], dim=-1)
    return features.pooled(which)


def _last_class_tokens(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    if not _has_last_class_tokens(encoder):
        raise InputError(
            f"feature: 'last-4-cls' needs a ViT with a class token and {NUM_LAST} blocks or more; "
            "for other encoders choose 'mean'"
        )
    pairs = encoder.forward_intermediates(  # type: ignore[operator]
        images,
        indices=NUM_LAST,
        return_prefix_tokens=True,
        norm=True,
        output_fmt="NLC",
        intermediates_only=True,
    )
    return [prefix[:, 0] for _, prefix in pairs]


def _has_last_class_tokens(encoder: nn.Module) -> bool:
    has_class = has_patch_tokens(encoder) and getattr(encoder, "cls_token", None) is not None
    if not has_class or len(encoder.blocks) < NUM_LAST:  # type: ignore[arg-type]
        return False
    # CaiT and ConViT have a class token in their last blocks only, and no such argument.
    parameters = inspect.signature(encoder.forward_intermediates).parameters  # type: ignore[arg-type]
    return "return_prefix_tokens" in parameters
