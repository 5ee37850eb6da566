"""Stored encoders at another image size than they were trained on."""

from pathlib import Path
from typing import Any

from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from folk.models.encoder import (
    EncoderInfo,
    check_size,
    create_encoder,
    has_patch_tokens,
    load_weights,
)
from folk.models.stored import load_state


def load_resized(folder: Path, size: int, drop_path: float) -> tuple[nn.Module, EncoderInfo]:
    """Load the encoder in `folder` for images of `size` x `size` pixels, see `resized`.

    Args:
        size: side in pixels, a multiple of a ViT's patch.

    Raises:
        InputError: a file is missing or damaged; or as `resized`.
    """
    info, state = load_weights(folder)
    where = folder / "encoder.safetensors"
    return resized(info.timm_name, info.timm_args, state, size, drop_path, where), info


def resized(
    timm_name: str,
    timm_args: dict[str, Any],
    state: dict[str, Tensor],
    size: int,
    drop_path: float,
    where: Path,
) -> nn.Module:
    """Make an encoder for images of another size from the weights of one.

    The position embedding of a ViT is interpolated, bicubic, to the new grid of patches; all other
    weights must fit unchanged.

    Args:
        timm_args: arguments of the encoder that has these weights.
        size: side in pixels, a multiple of a ViT's patch.
        where: file of the weights, for the error.

    Source: BEiT, arXiv:2106.08254, on ADE20K; github.com/bytedance/ibot issue 18 on what goes wrong
        without it.

    Raises:
        InputError: the weights are those of another architecture, or the size is no multiple of the
            patch.
    """
    args = {**timm_args, "drop_path_rate": drop_path}
    encoder = create_encoder(timm_name, args)
    if hasattr(encoder, "patch_embed"):  # ViTs and Swin know the size of their images
        encoder = create_encoder(timm_name, {**args, "img_size": size})
    check_size(encoder, size, "window.size")
    if has_patch_tokens(encoder) and "pos_embed" in state:
        state = state | {"pos_embed": _interpolated(encoder, state["pos_embed"])}
    load_state(encoder, state, where)
    return encoder


def _interpolated(encoder: nn.Module, positions: Tensor) -> Tensor:
    grid = list(encoder.patch_embed.grid_size)  # type: ignore[union-attr,arg-type]
    own: Tensor = encoder.pos_embed  # type: ignore[assignment]
    num_prefix = own.shape[1] - grid[0] * grid[1]
    resized: Tensor = resample_abs_pos_embed(positions, grid, num_prefix_tokens=num_prefix)
    return resized
