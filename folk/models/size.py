"""How large an encoder is, without making its weights."""

from typing import Any

import torch

from folk.models.encoder import create_encoder


def num_parameters(timm_name: str, timm_args: dict[str, Any]) -> int:
    """Count the weights of an encoder, head left out; none is allocated.

    Raises:
        InputError: timm knows no such encoder, or it does not take these arguments.
    """
    with torch.device("meta"):
        encoder = create_encoder(timm_name, timm_args)
    return sum(parameter.numel() for parameter in encoder.parameters())
