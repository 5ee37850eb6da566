"""Heads on an encoder's feature map."""

from jaxtyping import Float
from torch import Tensor, nn

from folk.errors import InputError
from folk.models.decoder import WIDTH, TransformerDecoder
from folk.models.encoder import is_vit, stride_of


class ReconstructionHead(nn.Sequential):
    """Feature map -> picture: one linear map per position, unfolded into its pixels.

    Args:
        in_channels: length of the feature at a position.
        stride: pixels per position along one side.
        colours: of the picture.
        decoder_depth: blocks of a transformer before the linear map; 0 for none, as MFM has it.

    Source: MFM, arXiv:2206.07706: a 1x1 convolution to stride^2 * 3 channels, then PixelShuffle.
    """

    def __init__(
        self, in_channels: int, stride: int, colours: int = 3, decoder_depth: int = 0
    ) -> None:
        decoder = [TransformerDecoder(in_channels, decoder_depth)] if decoder_depth else []
        width = WIDTH if decoder_depth else in_channels
        super().__init__(
            *decoder,
            nn.Conv2d(width, stride**2 * colours, kernel_size=1),
            nn.PixelShuffle(stride),
        )

    @classmethod
    def for_encoder(cls, encoder: nn.Module, decoder_depth: int = 0) -> "ReconstructionHead":
        """Make the head that fits an encoder's feature map and stride.

        Raises:
            InputError: a decoder for an encoder that is not a ViT.
        """
        if decoder_depth and not is_vit(encoder):
            raise InputError(
                f"method.reconstruction.decoder_depth: the decoder is for ViTs, not for "
                f"{type(encoder).__name__}; set it to 0"
            )
        width = int(encoder.num_features)  # type: ignore[arg-type]
        return cls(width, stride_of(encoder), decoder_depth=decoder_depth)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h2 w2"]:
        """Return a picture `stride` times larger than the map."""
        picture: Tensor = super().forward(features)  # type: ignore[no-untyped-call]
        return picture
