"""Frozen features are those that DINO's protocols name."""

import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.models.encoder import create_encoder
from folk.models.frozen import frozen_feature

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 5, "num_heads": 2}


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return create_encoder("vit_tiny_patch16_224", VIT).eval()


@torch.no_grad()
def test_the_last_four_class_tokens_are_each_normalized_and_the_deepest_comes_last(vit):
    images = torch.rand(2, 3, 32, 32)
    tokens = vit._pos_embed(vit.patch_embed(images))
    expected = []
    for number, block in enumerate(vit.blocks):
        tokens = block(tokens)
        if number >= 1:
            expected.append(vit.norm(tokens)[:, 0])

    found = frozen_feature(vit, images, "last-4-cls")

    torch.testing.assert_close(found, torch.cat(expected, dim=1))
    torch.testing.assert_close(found[:, -24:], frozen_feature(vit, images, "cls"))


@torch.no_grad()
def test_class_token_and_mean_of_the_patches_stand_side_by_side(vit):
    images = torch.rand(2, 3, 32, 32)
    tokens = vit.forward_features(images)

    both = frozen_feature(vit, images, "cls-and-mean")

    torch.testing.assert_close(both, torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1))


@pytest.mark.parametrize(
    ("name", "args"),
    [("resnet10t", {}), ("vit_tiny_patch16_224", VIT | {"depth": 3})],
    ids=["resnet", "three-blocks"],
)
def test_four_class_tokens_are_not_to_be_had_from_every_encoder(name, args):
    with pytest.raises(InputError, match="'last-4-cls' needs a ViT with a class token and 4"):
        frozen_feature(create_encoder(name, args), torch.rand(1, 3, 32, 32), "last-4-cls")
