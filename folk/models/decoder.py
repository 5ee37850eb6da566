"""MFM's optional transformer between a ViT and the head that paints."""

import torch
from jaxtyping import Float
from timm.models.vision_transformer import Block
from torch import Tensor, nn

WIDTH, NUM_HEADS = 512, 16


class TransformerDecoder(nn.Module):
    """Feature map -> feature map of width 512: a linear map, transformer blocks, a LayerNorm.

    Args:
        in_channels: length of the feature at a position.
        depth: number of blocks.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py: 512 wide, 16 heads, off by
        default. ASSUME: it sees patch tokens alone and has no position embedding of its own, since
        those of a ViT still know where they are; MLPs are four times as wide.
    """

    def __init__(self, in_channels: int, depth: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(in_channels, WIDTH)
        self.blocks = nn.Sequential(
            *(Block(WIDTH, NUM_HEADS, mlp_ratio=4.0, qkv_bias=True) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Let positions speak with each other."""
        tokens = self.narrow(features.flatten(2).transpose(1, 2))
        tokens = self.norm(self.blocks(tokens)).transpose(1, 2)
        decoded: Tensor = torch.unflatten(tokens, 2, features.shape[-2:])
        return decoded
