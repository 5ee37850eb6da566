"""A classifier that starts from a stored encoder: the network of full fine-tuning."""

from pathlib import Path

import torch
from torch import nn

from folk.models.encoder import create_model, is_vit, load_encoder, load_state


def create_classifier(
    encoder_folder: Path, num_classes: int, drop_path: float = 0.0, head_scale: float = 0.001
) -> nn.Module:
    """Make a timm classifier and give it the weights of a stored encoder.

    A ViT averages its patch tokens, then applies a new LayerNorm (`fc_norm`); its old `norm` is
    left out. Other encoders keep their own pooling. The linear head is new, its weights drawn from
    torch's global generator and scaled down so that the first steps hardly disturb the encoder.

    Args:
        encoder_folder: holds `encoder.safetensors` and `encoder.json`.
        num_classes: of the data set.
        drop_path: stochastic depth.
        head_scale: factor on the new head of a ViT.

    Source: MFM, arXiv:2206.07706, fine-tuning after BEiT: mean pooling, `fc_norm`, drop path 0.1,
        head scaled by 0.001.

    Raises:
        InputError: the stored encoder is missing, damaged or for another architecture.
    """
    encoder, info = load_encoder(encoder_folder)
    args = {**info.timm_args, "num_classes": num_classes}
    if drop_path > 0.0:
        args["drop_path_rate"] = drop_path
    if is_vit(encoder):
        args["global_pool"] = "avg"
    model = create_model(info.timm_name, args)
    head = model.get_classifier()  # type: ignore[operator]
    new = {key for key, value in model.state_dict(keep_vars=True).items() if _is_in(value, head)}
    unused: set[str] = set()
    if is_vit(model):
        new |= {"fc_norm.weight", "fc_norm.bias"}
        unused = {"norm.weight", "norm.bias"}
        with torch.no_grad():
            head.weight *= head_scale
            head.bias *= head_scale
    load_state(
        model,
        encoder.state_dict(),
        where=encoder_folder / "encoder.safetensors",
        may_miss=frozenset(new),
        may_ignore=frozenset(unused),
    )
    return model


def _is_in(value: object, module: nn.Module) -> bool:
    return any(value is parameter for parameter in module.parameters())
