"""MFM's optional transformer decoder between a ViT and the reconstruction head."""

from functools import partial

import torch
from jaxtyping import Float
from timm.models.beit import Block
from torch import Tensor, nn

from folk.models.encoder import init_blocks_like_beit, trunc_normal

WIDTH, NUM_HEADS = 512, 16


class TransformerDecoder(nn.Module):
    """Feature map -> feature map of width 512: a linear map, transformer blocks, a LayerNorm.

    The class token takes part in the attention and is left out of the result. All tokens get a
    learned position embedding, separate from the encoder's.

    Args:
        in_channels: length of the feature at a position.
        num_positions: of the map, height times width.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py and
        models/vision_transformer.py: BEiT's blocks, without key bias, and its initialization; the
        linear map starts as torch has it.
    """

    def __init__(
        self, in_channels: int, depth: int, num_positions: int, *, class_token: bool
    ) -> None:
        super().__init__()
        self.narrow = nn.Linear(in_channels, WIDTH)
        self.pos_embed = nn.Parameter(torch.empty(1, num_positions + class_token, WIDTH))
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.Sequential(
            *(
                Block(WIDTH, NUM_HEADS, qkv_bias=True, norm_layer=norm)  # type: ignore[arg-type]
                for _ in range(depth)
            )
        )
        self.norm = norm(WIDTH)
        trunc_normal(self.pos_embed)
        init_blocks_like_beit(self.blocks)

    def no_weight_decay(self) -> set[str]:
        """Name what the optimizer does not decay, as timm's encoders do."""
        return {"pos_embed"}

    def forward(
        self, features: Float[Tensor, "b c h w"], class_token: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b d h w"]:
        """Apply self-attention over all tokens; return those of the map.

        Args:
            features: patch tokens.
            class_token: of the same images; None where the encoder has none.
        """
        tokens = features.flatten(2).transpose(1, 2)
        if class_token is not None:
            tokens = torch.cat([class_token[:, None], tokens], dim=1)
        # A missing token must not end as a broadcast or as shifted positions.
        assert tokens.shape[1] == self.pos_embed.shape[1], (tokens.shape, self.pos_embed.shape)
        tokens = self.norm(self.blocks(self.narrow(tokens) + self.pos_embed))
        patches = tokens[:, -features.shape[-2:].numel() :].transpose(1, 2)
        decoded: Tensor = torch.unflatten(patches, 2, features.shape[-2:])
        return decoded
