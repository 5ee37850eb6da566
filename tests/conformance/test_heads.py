"""Heads have the published sizes and shapes."""

import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.methods.distillation import DistillationHead
from folk.models.encoder import create_encoder, stride_of
from folk.models.heads import ReconstructionHead

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}


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


def test_dinos_head_is_three_layers_with_gelu_a_unit_bottleneck_and_cosines():
    torch.manual_seed(0)
    head = DistillationHead(24, out_features=50, hidden=32, bottleneck=8)
    features = torch.randn(4, 24)
    logits = head(features)

    head, features = head.double(), features.double()
    one, two, three = (layer for layer in head.mlp if isinstance(layer, torch.nn.Linear))
    hidden = features @ one.weight.T + one.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    hidden = hidden @ two.weight.T + two.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    bottleneck = hidden @ three.weight.T + three.bias
    unit = bottleneck / bottleneck.norm(dim=1, keepdim=True)
    rows = head.last_layer.weight / head.last_layer.weight.norm(dim=1, keepdim=True)
    torch.testing.assert_close(logits.double(), unit @ rows.T, rtol=1e-5, atol=1e-6)


def test_dinos_head_has_the_published_sizes():
    with torch.device("meta"):
        head = DistillationHead(384)

    shapes = [tuple(p.shape) for p in head.parameters() if p.ndim == 2]
    assert shapes == [(2048, 384), (2048, 2048), (256, 2048), (65536, 256)]


def test_mfms_decoder_of_depth_2_has_6_996_736_parameters_behind_vit_small():
    # 384 x 512 + 512 in, 197 x 512 positions, two blocks without key bias, a norm, 512 x 768 + 768.
    with torch.device("meta"):
        encoder = create_encoder("vit_small_patch16_224", {})
        head = ReconstructionHead.for_encoder(encoder, decoder_depth=2)

    assert sum(p.numel() for p in head.parameters()) == 6_996_736
    assert head.decoder.pos_embed.shape == (1, 197, 512)


@torch.no_grad()
def test_a_decoder_starts_as_beit_does():
    torch.manual_seed(0)
    decoder = ReconstructionHead.for_encoder(create_encoder("vit_tiny_patch16_224", VIT), 3).decoder

    std = 0.02 * 0.5396  # of a normal distribution that is cut at one deviation
    for tensor in (decoder.pos_embed, decoder.blocks[2].attn.qkv.weight):
        assert float(tensor.abs().max()) <= 0.02
        assert float(tensor.std()) == pytest.approx(std, rel=0.02)
    for number, block in enumerate(decoder.blocks, start=1):
        for layer in (block.attn.proj, block.mlp.fc2):
            assert float(layer.weight.std()) == pytest.approx(std / (2 * number) ** 0.5, rel=0.01)
            assert not layer.bias.any()


def test_the_class_token_takes_part_in_the_decoder():
    torch.manual_seed(0)
    head = ReconstructionHead.for_encoder(create_encoder("vit_tiny_patch16_224", VIT), 1).eval()
    features, token = torch.rand(1, 24, 4, 4), torch.rand(1, 24)

    before, after = head(features, token), head(features, token + 1.0)

    assert before.shape == after.shape == (1, 3, 32, 32)
    assert (before != after).any(dim=1).float().mean() > 0.99
    with pytest.raises(AssertionError):  # a caller that forgets it must not get another network
        head(features)


def test_a_decoder_behind_a_vit_without_class_token_sees_patch_tokens_alone():
    encoder = create_encoder(
        "vit_tiny_patch16_224", {**VIT, "class_token": False, "global_pool": "avg"}
    )
    head = ReconstructionHead.for_encoder(encoder, 1)

    assert head.decoder.pos_embed.shape == (1, 16, 512)
    assert head(torch.rand(1, 24, 4, 4), None).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("depth", [0, 2])
def test_a_decoder_of_512_with_16_heads_stands_before_the_head_only_where_asked_for(depth):
    encoder = create_encoder("vit_tiny_patch16_224", VIT)

    head = ReconstructionHead.for_encoder(encoder, decoder_depth=depth)

    assert head(torch.rand(2, 24, 4, 4), torch.rand(2, 24)).shape == (2, 3, 32, 32)
    attention = [m for m in head.modules() if hasattr(m, "num_heads")]
    assert [(m.num_heads, m.qkv.in_features) for m in attention] == [(16, 512)] * depth
    if depth == 0:
        assert [type(m).__name__ for m in head.paint] == ["Conv2d", "PixelShuffle"]


def test_a_decoder_lets_positions_speak_with_each_other():
    head = ReconstructionHead.for_encoder(create_encoder("vit_tiny_patch16_224", VIT), 1).eval()
    features, token = torch.rand(1, 24, 4, 4), torch.rand(1, 24)
    before = head(features, token)
    features[0, :, 1, 2] += 1.0

    assert (head(features, token) != before).any(dim=1)[0, 24:, :16].any()


def test_a_decoder_for_another_encoder_than_a_vit_is_refused():
    with pytest.raises(InputError, match="decoder_depth: the decoder needs a ViT, got ResNet"):
        ReconstructionHead.for_encoder(create_encoder("resnet10t", {}), decoder_depth=1)


def test_each_position_paints_its_own_pixels_and_no_others():
    head = ReconstructionHead(in_channels=8, stride=4)
    features = torch.zeros(1, 8, 3, 3)
    before = head(features)
    features[0, :, 1, 2] = 1.0

    changed = (head(features) != before).any(dim=1)[0]

    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[4:8, 8:12] = True
    assert torch.equal(expected, changed)
