"""Encoders are plain timm models, before and after storing."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file

from folk.evidence.core.errors import InputError
from folk.models.encoder import (
    create_encoder,
    encode,
    init_like_beit,
    load_encoder,
    read_encoder_info,
    stride_of,
)
from tests.faults.table import fault
from tests.toy import store_encoder

TINY_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
ENCODERS = [
    ("vit_tiny_patch16_224", TINY_VIT, 32, 24, 8),
    ("resnet10t", {}, 64, 512, 32),
    (
        "swin_tiny_patch4_window7_224",
        {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": [1, 1, 1, 1]},
        64,
        192,
        32,
    ),
]


def store(folder, encoder, timm_name="vit_tiny_patch16_224", timm_args=TINY_VIT):
    store_encoder(folder, timm_name, timm_args, encoder=encoder)
    return read_encoder_info(folder)


@pytest.mark.parametrize(("name", "args", "size", "channels", "stride"), ENCODERS)
def test_every_kind_of_encoder_gives_a_map_with_channels_first(name, args, size, channels, stride):
    encoder = create_encoder(name, args).eval()
    images = torch.rand(2, 3, size, size)

    features = encode(encoder, images)

    assert stride_of(encoder) == stride
    assert features.map.shape == (2, channels, size // stride, size // stride)
    torch.testing.assert_close(features.map.mean((2, 3)), features.pooled("mean"))


def test_the_map_of_a_vit_keeps_rows_and_columns():
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT).eval()
    image = torch.rand(1, 3, 32, 32)

    tokens = encoder.forward_features(image)

    features = encode(encoder, image)
    torch.testing.assert_close(features.map[0, :, 1, 2], tokens[0, 1 + 1 * 4 + 2])
    torch.testing.assert_close(features.pooled("cls"), tokens[:, 0])


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("beit_base_patch16_224", {}),
        ("eva02_tiny_patch14_224", {}),
        ("vit_tiny_patch16_224", {"global_pool": "avg", "class_token": False}),
    ],
)
def test_the_map_comes_after_the_last_norm_and_every_weight_is_in_it(name, more):
    encoder = create_encoder(name, {**TINY_VIT, **more})

    features = encode(encoder, torch.rand(2, 3, 32, 32))

    torch.testing.assert_close(
        features.map.std(1, correction=0), torch.ones(2, 4, 4), atol=1e-2, rtol=0
    )
    (features.map * torch.rand_like(features.map)).sum().backward()
    assert [key for key, weight in encoder.named_parameters() if weight.grad is None] == []


def test_an_encoder_without_class_token_gives_the_mean_instead():
    encoder = create_encoder("resnet10t", {}).eval()
    image = torch.rand(1, 3, 32, 32)

    features = encode(encoder, image)
    assert torch.equal(features.pooled("cls"), features.pooled("mean"))


@pytest.mark.parametrize(("name", "args", "size", "channels", "stride"), ENCODERS)
def test_a_stored_encoder_loads_strictly_into_plain_timm(
    tmp_path, name, args, size, channels, stride
):
    encoder = create_encoder(name, args).eval()
    store(tmp_path, encoder, name, args)

    opened = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        assert torch.equal(opened(images), encoder(images))
    expected = read_encoder_info(tmp_path).input_size
    assert timm.data.resolve_model_data_config(opened)["input_size"] == expected

    description = json.loads((tmp_path / "encoder.json").read_text())
    plain = timm.create_model(description["timm_name"], num_classes=0, **description["timm_args"])
    plain.load_state_dict(load_file(tmp_path / "encoder.safetensors"), strict=True)

    images = torch.rand(2, 3, size, size)
    assert description["num_features"] == channels
    assert torch.equal(plain.eval()(images), encoder(images))


def test_a_stored_encoder_comes_back_bit_for_bit(tmp_path):
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    written = store(tmp_path, encoder)

    loaded, info = load_encoder(tmp_path)

    assert written == info
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key


def test_storing_twice_gives_the_same_digest(tmp_path):
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)

    assert store(tmp_path / "a", encoder).sha256 == store(tmp_path / "b", encoder).sha256


@fault(
    "Bytes",
    "an encoder of another architecture",
    "refused, the first keys that do not fit are named",
)
def test_weights_of_another_architecture_are_refused_by_key(tmp_path):
    store(tmp_path, create_encoder("vit_tiny_patch16_224", TINY_VIT))
    description = json.loads((tmp_path / "encoder.json").read_text())
    description["timm_args"]["depth"] = 3
    (tmp_path / "encoder.json").write_text(json.dumps(description))

    with pytest.raises(InputError, match=r"missing keys blocks\.2"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda said: said.pop("mean"), "encoder.json: mean: .*run the pre-training again"),
        (lambda said: said.pop("format"), "encoder.json: expected format 1"),
        (
            lambda said: said.update(format=2),
            "expected format 1; run the pre-training again",
        ),
    ],
)
def test_a_description_of_another_form_is_refused(tmp_path, change, complaint):
    store(tmp_path, create_encoder("vit_tiny_patch16_224", TINY_VIT))
    description = json.loads((tmp_path / "encoder.json").read_text())
    change(description)
    (tmp_path / "encoder.json").write_text(json.dumps(description))

    with pytest.raises(InputError, match=complaint):
        load_encoder(tmp_path)


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(InputError, match="vit_small_patch16_224"):
        create_encoder("vit_smal_patch16_224", {})


def test_an_argument_that_the_architecture_does_not_take_is_refused():
    with pytest.raises(InputError, match="timm_args"):
        create_encoder("vit_tiny_patch16_224", {**TINY_VIT, "number_of_heads": 2})


def test_weights_follow_the_global_seed():
    def weights(seed):
        torch.manual_seed(seed)
        encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
        init_like_beit(encoder)
        return encoder.blocks[0].mlp.fc1.weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_beit_initialization_is_cut_at_one_sigma_and_shrinks_with_depth():
    wide = {**TINY_VIT, "embed_dim": 192, "depth": 8}
    encoder = create_encoder("vit_tiny_patch16_224", wide)

    init_like_beit(encoder)

    uncut = encoder.blocks[0].mlp.fc1.weight
    assert uncut.abs().max() <= 0.02
    assert encoder.pos_embed.abs().max() <= 0.02
    for number in (1, 2, 8):
        block = encoder.blocks[number - 1]
        for layer in (block.attn.proj, block.mlp.fc2):
            ratio = (uncut.std() / layer.weight.std()).item()
            assert ratio == pytest.approx((2 * number) ** 0.5, rel=0.03)
            assert not layer.bias.any()


def test_beit_initialization_is_refused_for_a_convolutional_network():
    with pytest.raises(InputError, match="beit"):
        init_like_beit(create_encoder("resnet10t", {}))
