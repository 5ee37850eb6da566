"""Optimizers with the field's parameter groups, by timm."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from timm.models._manipulate import group_with_matcher
from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from torch.optim import Optimizer


def weight_decay_groups(modules: Sequence[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Make two groups over several modules: decayed weights, and all that is never decayed.

    Biases, vectors and whatever a module or a part of it names in `no_weight_decay()` (position
    embeddings, class tokens) are not decayed. Frozen parameters are left out.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for module in modules:
        names = _never_decayed(module)
        for group in param_groups_weight_decay(module, weight_decay, no_weight_decay_list=names):
            (decayed if group["weight_decay"] > 0.0 else spared).extend(group["params"])
    return [
        {"params": spared, "weight_decay": 0.0},
        {"params": decayed, "weight_decay": weight_decay},
    ]


def layer_decay_groups(
    encoder: nn.Module, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Make groups of one timm model whose rate shrinks by `layer_decay` per layer below the head.

    For ViT-B these are 14 depths: embeddings `layer_decay ** 13`, block k (from 0)
    `layer_decay ** (12 - k)`, head 1. The head counts even if it is no part of `encoder`, as
    under a decoder, so that blocks and embeddings have the same scale with and without it.

    Source: Jiahao000/MFM@c9194b1 configs (0.8); BEiT's configuration for ADE20K (0.65).
    """
    names = _never_decayed(encoder)
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        encoder, weight_decay, no_weight_decay_list=names, layer_decay=layer_decay
    )
    if not _has_head(encoder):  # timm counts from the deepest existing parameters
        for group in groups:
            group["lr_scale"] *= layer_decay
    return groups


def _has_head(encoder: nn.Module) -> bool:
    """Return True if any parameter is in the group above all layers, as timm sorts them."""
    if not hasattr(encoder, "group_matcher"):
        return any(True for _ in encoder.get_classifier().parameters())  # type: ignore[operator]
    # Names that match no pattern belong to the head; so does this name, which no parameter has.
    named = chain(encoder.named_parameters(), [("", None)])
    layers: dict[str, int] = group_with_matcher(
        named,
        encoder.group_matcher(),  # type: ignore[operator]
        reverse=True,
    )
    head = layers.pop("")
    return head in layers.values()


def _never_decayed(module: nn.Module) -> list[str]:
    return [
        f"{path}.{name}".lstrip(".")
        for path, part in module.named_modules()
        for name in getattr(part, "no_weight_decay", tuple)()
    ]


def create_optimizer(
    name: str,
    groups: list[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    eps: float,
    momentum: float = 0.9,
) -> Optimizer:
    """Make an optimizer by its timm name over ready parameter groups.

    Args:
        name: "adamw", "lamb" or "sgd" (Nesterov). timm's LAMB would also clip the gradient to norm
            1 by default; here it does not, a recipe sets `clip_grad`.
        groups: as made by the functions above. A group with `lr_scale` gets that share of `lr` as
            its peak; the share itself is dropped, else timm's schedules would also multiply the
            minimum and the start of the warm-up by it.
        lr: peak learning rate after scaling.
    """
    groups = [{**group, "lr": lr * group.get("lr_scale", 1.0)} for group in groups]
    for group in groups:
        group.pop("lr_scale", None)
    if name == "sgd":
        return create_optimizer_v2(groups, opt=name, lr=lr, momentum=momentum, fused=True)
    # Fused kernels touch each weight once; timm's LAMB has none.
    more: dict[str, Any] = {"max_grad_norm": None} if name == "lamb" else {"fused": True}
    return create_optimizer_v2(groups, opt=name, lr=lr, betas=tuple(betas), eps=eps, **more)
