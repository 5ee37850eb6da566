"""Semantic segmentation: encoder -> four levels -> UperNet -> one logit per class and pixel."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn
from torch.nn.functional import interpolate

from folk.evidence.core.errors import InputError
from folk.models.encoder import has_patch_tokens

NUM_LEVELS = 4


class Rescale(nn.ModuleList):
    """Make a pyramid from four maps of one resolution: x4, x2, as it is, / 2.

    With patches of 16 px the levels have strides 4, 8, 16 and 32 px.

    Source: BEiT's UperNet on ADE20K (microsoft/unilm): transposed convolutions for the finer
        levels, max pooling for the coarsest.
    """

    def __init__(self, channels: int) -> None:
        def twice() -> nn.Module:
            return nn.ConvTranspose2d(channels, channels, kernel_size=2, stride=2)

        super().__init__(
            [
                nn.Sequential(twice(), nn.BatchNorm2d(channels), nn.GELU(), twice()),
                twice(),
                nn.Identity(),
                # ceil_mode: a map of 1 x 1 stays one.
                nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=True),
            ]
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Rescale each map by its own module."""
        return [module(level) for module, level in zip(self, maps, strict=True)]


class Segmenter(nn.Module):
    """Encoder with a UperNet decoder and, for training, an auxiliary head.

    Args:
        encoder: a timm encoder without classifier; blocks after the last level and the last norm
            are taken off it.
        blocks: which four blocks of an encoder with patch tokens make the levels, 0-based, none
            before its predecessor; a shallow one repeats some. ResNet and Swin give their own four
            last levels and ignore it.
        channels: of the decoder.
        dropout: probability that a channel of a map is zeroed before a classifier, in training.
        auxiliary_channels: of a second, convolutional head on the third level; None for no such
            head.

    Source: UperNet, arXiv:1807.10221; BEiT's configuration for ADE20K: blocks 3, 5, 7, 11 of ViT-B,
        maps without a norm of their own, dropout 0.1, auxiliary head of 256 channels with weight
        0.4 of its loss.

    Raises:
        InputError: a block that the encoder does not have, blocks in descending order, or an
            encoder without patch tokens whose last four levels do not halve from one to the next.
    """

    def __init__(
        self,
        encoder: nn.Module,
        num_classes: int,
        blocks: Sequence[int],
        channels: int,
        dropout: float,
        auxiliary_channels: int | None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.levels = _levels(encoder, blocks)
        infos = encoder.feature_info
        widths = [int(infos[level]["num_chs"]) for level in self.levels]  # type: ignore[index]
        # Remove unused parameters: DDP waits for the gradient of every parameter.
        encoder.prune_intermediate_layers(sorted(set(self.levels)), prune_norm=True)  # type: ignore[operator]
        self.pyramid = Rescale(widths[-1]) if has_patch_tokens(encoder) else nn.ModuleList()
        # The decoder's list starts with strides 1 and 2, which UperNet does not use.
        self.decoder = UPerNetDecoder([0, 0, *widths], decoder_channels=channels)
        # The library's own addition to UperNet: a LayerNorm on each map.
        self.decoder.feature_norms = nn.ModuleList(nn.Identity() for _ in widths)
        self.head = _classifier(channels, num_classes, dropout)
        self.auxiliary_head = (
            None
            if auxiliary_channels is None
            else nn.Sequential(
                nn.Conv2d(widths[2], auxiliary_channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(auxiliary_channels),
                nn.ReLU(),
                _classifier(auxiliary_channels, num_classes, dropout),
            )
        )

    def forward(
        self, images: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b k h w"] | None]:
        """Return logits at the size of the normalized images: main, and auxiliary in training."""
        blocks = sorted(set(self.levels))
        maps: list[Tensor] = self.encoder.forward_intermediates(  # type: ignore[operator]
            images, indices=blocks, intermediates_only=True
        )
        maps = [maps[blocks.index(level)] for level in self.levels]
        levels = self.pyramid(maps) if len(self.pyramid) else maps
        size = images.shape[-2:]
        auxiliary = None
        if self.auxiliary_head is not None and self.training:
            auxiliary = _resize(self.auxiliary_head(levels[2]), size)
        # The decoder overwrites its list, so it gets its own.
        main = self.head(self.decoder([images, images, *levels]))
        return _resize(main, size), auxiliary


def _levels(encoder: nn.Module, blocks: Sequence[int]) -> tuple[int, ...]:
    available = len(encoder.feature_info)  # type: ignore[arg-type]
    if not has_patch_tokens(encoder):
        strides = [int(info["reduction"]) for info in encoder.feature_info][-NUM_LEVELS:]  # type: ignore[union-attr]
        if strides != [strides[0] * 2**level for level in range(NUM_LEVELS)]:
            raise InputError(
                "encoder.timm_name: UperNet needs patch tokens, or four levels that each halve "
                f"the one before; {type(encoder).__name__} has strides {strides}; take a ViT, a "
                "Swin or a ResNet"
            )
        return tuple(range(available - NUM_LEVELS, available))
    falls = sorted(blocks) != list(blocks)
    if len(blocks) != NUM_LEVELS or falls or blocks[0] < 0 or blocks[-1] >= available:
        raise InputError(
            f"decoder.blocks: expected four numbers from 0 to {available - 1} in rising order, got"
            f" {list(blocks)}"
        )
    return tuple(blocks)


def _classifier(channels: int, num_classes: int, dropout: float) -> nn.Module:
    # Drop whole channels, as in all heads of MMSegmentation.
    return nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, kernel_size=1))


def _resize(logits: Tensor, size: torch.Size) -> Tensor:
    return interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
