"""Number of an encoder's parameters, without allocating them."""

from typing import Any

import torch

from folk.models.encoder import create_encoder


def num_parameters(timm_name: str, timm_args: dict[str, Any]) -> int:
    """Count the parameters of an encoder without its head; none is allocated.

    Raises:
        InputError: unknown timm name, or an argument that the architecture does not take.
    """
    with torch.device("meta"):
        encoder = create_encoder(timm_name, timm_args)
    return sum(parameter.numel() for parameter in encoder.parameters())
