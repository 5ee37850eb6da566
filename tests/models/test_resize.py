"""An encoder that was trained on small images reads large ones."""

import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.models.encoder import check_size, create_encoder, encode
from folk.models.resize import load_resized
from folk.models.segmenter import Segmenter
from tests.toy import store_encoder

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 2}
SWIN = {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": [1, 1, 1, 1]}


def stored(folder, name, args):
    torch.manual_seed(0)
    return store_encoder(folder, name, args).eval()


def test_positions_are_interpolated_and_the_class_token_keeps_its_own(tmp_path):
    small = stored(tmp_path, "vit_tiny_patch16_224", VIT)
    with torch.no_grad():  # a ramp along the rows, which any interpolation must carry over
        small.pos_embed[0, 1:] = torch.arange(4.0).repeat_interleave(4)[:, None].expand(16, 24)
    store_encoder(tmp_path, "vit_tiny_patch16_224", VIT, encoder=small)

    large, info = load_resized(tmp_path, 64, drop_path=0.1)

    assert large.pos_embed.shape == (1, 1 + 64, 24)
    torch.testing.assert_close(large.pos_embed[0, 0], small.pos_embed[0, 0])
    grid = large.pos_embed[0, 1:].reshape(8, 8, 24)
    assert (grid[1:, :, 0] > grid[:-1, :, 0]).all()
    torch.testing.assert_close(grid[:, 0], grid[:, 7])
    assert info.timm_args == VIT


def test_the_own_size_changes_nothing(tmp_path):
    small = stored(tmp_path, "vit_tiny_patch16_224", VIT)
    images = torch.rand(2, 3, 32, 32)

    same, _ = load_resized(tmp_path, 32, drop_path=0.0)

    torch.testing.assert_close(encode(same.eval(), images).map, encode(small, images).map)


@pytest.mark.parametrize(
    ("name", "args"),
    [("vit_tiny_patch16_224", VIT), ("swin_tiny_patch4_window7_224", SWIN), ("resnet10t", {})],
    ids=["vit", "swin", "resnet"],
)
def test_every_kind_of_encoder_segments_images_larger_than_its_own(tmp_path, name, args):
    stored(tmp_path, name, args)
    encoder, _ = load_resized(tmp_path, 96, drop_path=0.1)
    model = Segmenter(
        encoder, 3, [0, 1, 2, 3], channels=16, dropout=0.1, auxiliary_channels=None
    ).eval()

    assert model(torch.rand(1, 3, 96, 96))[0].shape == (1, 3, 96, 96)


@pytest.mark.parametrize(("size", "taken"), [(36, "32 or 40"), (5, "8")])
def test_a_size_that_patches_do_not_cover_is_refused_with_the_nearest_ones(tmp_path, size, taken):
    stored(tmp_path, "vit_tiny_patch16_224", VIT)

    with pytest.raises(InputError, match=f"window.size: {size} is no multiple .*8; take {taken}$"):
        load_resized(tmp_path, size, drop_path=0.0)


def test_an_encoder_of_one_size_names_it_and_oblong_patches_are_refused():
    with pytest.raises(InputError, match=r"views\.size: 64; the encoder takes images of 32 pixels"):
        check_size(create_encoder("vit_tiny_patch16_224", VIT), 64, "views.size")
    with pytest.raises(InputError, match="patches of 8 x 4 pixels; expected square ones"):
        check_size(
            create_encoder("vit_tiny_patch16_224", {**VIT, "patch_size": (8, 4)}), 32, "views.size"
        )


def test_a_convolutional_network_takes_any_size():
    check_size(create_encoder("resnet10t", {}), 37, "views.size")
