"""Optimisers with the field's parameter groups, by timm."""

from collections.abc import Sequence
from typing import Any

from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from torch.optim import Optimizer


def weight_decay_groups(modules: Sequence[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups over several modules: decayed weights, and what is never decayed.

    Biases, vectors and whatever a module names in `no_weight_decay()` (position embeddings, class
    tokens) are not decayed. Frozen parameters are left out.
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
    """Groups of one timm model whose rate shrinks by `layer_decay` with each layer below the head.

    For ViT-B these are 14 depths: embeddings `layer_decay ** 13`, block k (from 0)
    `layer_decay ** (12 - k)`, final norm and head 1.

    Source: Jiahao000/MFM@c9194b1 configs (0.8).
    """
    names = _never_decayed(encoder)
    groups: list[dict[str, Any]] = param_groups_layer_decay(
        encoder, weight_decay, no_weight_decay_list=names, layer_decay=layer_decay
    )
    return groups


def _never_decayed(module: nn.Module) -> Sequence[str]:
    names: Any = getattr(module, "no_weight_decay", tuple)
    return tuple(names())


def create_optimizer(
    name: str,
    groups: list[dict[str, Any]],
    *,
    lr: float,
    betas: Sequence[float],
    eps: float,
    momentum: float = 0.9,
) -> Optimizer:
    """An optimiser by its timm name over ready parameter groups.

    Args:
        name: "adamw", "lamb" or "sgd" (Nesterov). timm's LAMB would also clip the gradient to norm
            1 unasked; here it does not, a recipe says `clip_grad`.
        groups: as made by the functions above; their `lr_scale` is kept for the schedule.
        lr: peak learning rate after scaling.
        betas: of AdamW and LAMB.
        eps: of AdamW and LAMB.
        momentum: of SGD.
    """
    if name == "sgd":
        return create_optimizer_v2(groups, opt=name, lr=lr, momentum=momentum, fused=True)
    # Fused kernels touch each weight once; timm's LAMB has none.
    more: dict[str, Any] = {"max_grad_norm": None} if name == "lamb" else {"fused": True}
    return create_optimizer_v2(groups, opt=name, lr=lr, betas=tuple(betas), eps=eps, **more)
