"""Heads on an encoder's feature map."""

from jaxtyping import Float
from torch import Tensor, nn

from folk.evidence.core.errors import InputError
from folk.models.decoder import WIDTH, TransformerDecoder
from folk.models.encoder import has_patch_tokens, stride_of


class ReconstructionHead(nn.Module):
    """Feature map -> image: one linear map per position, unfolded into its pixels.

    Args:
        in_channels: length of the feature at a position.
        stride: pixels per position along one side.
        decoder: a transformer before the linear map; None for none, MFM's default.

    Source: MFM, arXiv:2206.07706: a 1x1 convolution to stride^2 * 3 channels, then PixelShuffle.
    """

    def __init__(
        self,
        in_channels: int,
        stride: int,
        colors: int = 3,
        decoder: TransformerDecoder | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        width = in_channels if decoder is None else WIDTH
        self.paint = nn.Sequential(
            nn.Conv2d(width, stride**2 * colors, kernel_size=1), nn.PixelShuffle(stride)
        )

    @classmethod
    def for_encoder(cls, encoder: nn.Module, decoder_depth: int = 0) -> "ReconstructionHead":
        """Make the head that fits an encoder's feature map and stride.

        Args:
            decoder_depth: blocks of a transformer before the linear map; 0 for none.

        Raises:
            InputError: a decoder for an encoder without patch tokens.
        """
        width = int(encoder.num_features)  # type: ignore[arg-type]
        if not decoder_depth:
            return cls(width, stride_of(encoder))
        if not has_patch_tokens(encoder):
            raise InputError(
                f"method.reconstruction.decoder_depth: the decoder needs a ViT, got "
                f"{type(encoder).__name__}; set it to 0"
            )
        num_positions = int(encoder.patch_embed.num_patches)  # type: ignore[arg-type,union-attr]
        has_class = getattr(encoder, "cls_token", None) is not None
        decoder = TransformerDecoder(width, decoder_depth, num_positions, class_token=has_class)
        return cls(width, stride_of(encoder), decoder=decoder)

    def forward(
        self, features: Float[Tensor, "b c h w"], class_token: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b k h2 w2"]:
        """Return an image `stride` times larger than the map.

        Args:
            class_token: of the same images, for the decoder only; None if the encoder has none.
        """
        if self.decoder is not None:
            features = self.decoder(features, class_token)
        image: Tensor = self.paint(features)
        return image
