"""Heads on an encoder's feature map."""

from jaxtyping import Float
from torch import Tensor, nn

from folk.models.encoder import stride_of


class ReconstructionHead(nn.Sequential):
    """Feature map -> picture: one linear map per position, unfolded into its pixels.

    Args:
        in_channels: length of the feature at a position.
        stride: pixels per position along one side.
        colours: of the picture.

    Source: MFM, arXiv:2206.07706: a 1x1 convolution to stride^2 * 3 channels, then PixelShuffle.
    """

    def __init__(self, in_channels: int, stride: int, colours: int = 3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, stride**2 * colours, kernel_size=1), nn.PixelShuffle(stride)
        )

    @classmethod
    def for_encoder(cls, encoder: nn.Module) -> "ReconstructionHead":
        """Make the head that fits an encoder's feature map and stride."""
        return cls(int(encoder.num_features), stride_of(encoder))  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h2 w2"]:
        """Return a picture `stride` times larger than the map."""
        picture: Tensor = super().forward(features)  # type: ignore[no-untyped-call]
        return picture
