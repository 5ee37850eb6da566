"""Heads have the published sizes and shapes."""

import pytest
import torch

from folk.models.encoder import create_encoder, stride_of
from folk.models.heads import ReconstructionHead


@pytest.mark.parametrize(
    ("timm_name", "stride", "parameters"),
    [
        ("vit_small_patch16_224", 16, 295_680),
        ("vit_base_patch16_224", 16, 590_592),
        ("resnet50", 32, 6_294_528),
    ],
)
def test_the_reconstruction_head_has_the_published_number_of_parameters(
    timm_name, stride, parameters
):
    with torch.device("meta"):  # sizes only: no weights are drawn
        encoder = create_encoder(timm_name, {})
        head = ReconstructionHead.for_encoder(encoder)

    assert stride_of(encoder) == stride
    assert sum(p.numel() for p in head.parameters()) == parameters


def test_each_position_paints_its_own_pixels_and_no_others():
    head = ReconstructionHead(in_channels=8, stride=4)
    features = torch.zeros(1, 8, 3, 3)
    before = head(features)
    features[0, :, 1, 2] = 1.0

    changed = (head(features) != before).any(dim=1)[0]

    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[4:8, 8:12] = True
    assert torch.equal(expected, changed)
