"""A classifier starts where the encoder ended."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.layers import DropPath
from torch import nn

from folk.evidence.core.errors import InputError
from folk.models.classifier import create_classifier, load_classifier, save_classifier
from folk.models.encoder import encode, read_encoder_info
from tests.toy import store_encoder

TINY_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def test_a_vit_averages_patches_then_normalizes(tmp_path):
    encoder = store_encoder(tmp_path, "vit_tiny_patch16_224", TINY_VIT)
    model = create_classifier(tmp_path, 7).eval()
    images = torch.rand(2, 3, 32, 32)

    encoder.norm = nn.Identity()
    mean = encode(encoder.eval(), images).pooled("mean")

    torch.testing.assert_close(model(images), model.head(model.fc_norm(mean)))


def test_the_new_head_hardly_speaks_at_first(tmp_path):
    store_encoder(tmp_path, "vit_tiny_patch16_224", TINY_VIT)
    torch.manual_seed(0)
    loud = create_classifier(tmp_path, 7, head_scale=1.0)
    torch.manual_seed(0)
    quiet = create_classifier(tmp_path, 7)

    torch.testing.assert_close(quiet.head.weight, 0.001 * loud.head.weight)


def test_all_other_weights_are_the_encoders(tmp_path):
    encoder = store_encoder(tmp_path, "vit_tiny_patch16_224", TINY_VIT)

    own = create_classifier(tmp_path, 7).state_dict()

    kept = {key: value for key, value in encoder.state_dict().items() if "norm." not in key[:5]}
    assert len(kept) > 20
    for key, value in kept.items():
        assert torch.equal(value, own[key]), key


TINY = {
    "vit_tiny_patch16_224": TINY_VIT,
    "swin_tiny_patch4_window7_224": {
        "img_size": 32, "patch_size": 2, "window_size": 4,
        "embed_dim": 16, "depths": [1, 1, 1, 2], "num_heads": [1, 1, 2, 2],
    },
    "convnext_atto": {"depths": [1, 1, 1, 2], "dims": [8, 8, 16, 16]},
    "resnet10t": {},
}  # fmt: skip


def drop_paths(model):
    return [float(m.drop_prob) for m in model.modules() if isinstance(m, DropPath) and m.drop_prob]


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("drop_path", [0.0, 0.25])
def test_the_recipes_stochastic_depth_is_that_of_the_last_block_and_not_timms_default(
    tmp_path, name, drop_path
):
    store_encoder(tmp_path, name, TINY[name])

    found = drop_paths(create_classifier(tmp_path, 7, drop_path=drop_path))

    assert max(found, default=0.0) == pytest.approx(drop_path)


def test_an_encoder_without_stochastic_depth_can_be_fine_tuned_and_refuses_any(tmp_path):
    store_encoder(tmp_path, "dla46_c", {})

    create_classifier(tmp_path, 7, drop_path=0.0)
    with pytest.raises(InputError, match="has no stochastic depth; set it to 0"):
        create_classifier(tmp_path, 7, drop_path=0.1)


def test_stochastic_depth_acts_in_training(tmp_path):
    store_encoder(tmp_path, "vit_tiny_patch16_224", TINY_VIT)

    model = create_classifier(tmp_path, 7, drop_path=0.5).train()

    images = torch.rand(8, 3, 32, 32)
    with torch.no_grad():
        model.head.weight *= 1000.0
    assert not torch.equal(model(images), model(images))


@pytest.mark.parametrize("name", ["resnet10t"])
def test_a_convolutional_network_keeps_its_pooling(tmp_path, name):
    encoder = store_encoder(tmp_path, name, {}).eval()
    model = create_classifier(tmp_path, 7).eval()
    images = torch.rand(2, 3, 64, 64)

    torch.testing.assert_close(
        model(images), model.fc(encode(encoder, images).pooled("mean")), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(("name", "args"), [("vit_tiny_patch16_224", TINY_VIT), ("resnet10t", {})])
def test_a_stored_classifier_says_the_same_and_is_a_plain_timm_model(tmp_path, name, args):
    store_encoder(tmp_path, name, args)
    model = create_classifier(tmp_path, 3, drop_path=0.1).eval()
    info = read_encoder_info(tmp_path)
    save_classifier(tmp_path, model, info, ["a", "b", "c"], 32)
    images = torch.rand(2, 3, 32, 32)

    again, said = load_classifier(tmp_path)
    card = json.loads((tmp_path / "classifier.json").read_text())
    plain = timm.create_model(card["timm_name"], **card["timm_args"])
    plain.load_state_dict(load_file(tmp_path / "classifier.safetensors"), strict=True)

    torch.testing.assert_close(again.eval()(images), model(images))
    torch.testing.assert_close(plain.eval()(images), model(images))
    assert said.classes == ["a", "b", "c"]
    assert said.run == "mfm-s0"


def test_a_missing_or_damaged_classifier_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"classifier\.json: no such file; run the fine-tuning"):
        load_classifier(tmp_path)
    store_encoder(tmp_path, "vit_tiny_patch16_224", TINY_VIT)
    model = create_classifier(tmp_path, 3)
    save_classifier(tmp_path, model, read_encoder_info(tmp_path), ["a", "b", "c"], 32)
    with (tmp_path / "classifier.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="expected sha256"):
        load_classifier(tmp_path)
