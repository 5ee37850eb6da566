"""The segmenter labels every pixel of small and of large pictures."""

import pytest
import torch

from folk.errors import InputError
from folk.models.encoder import create_encoder
from folk.models.segmenter import Segmenter


def vit(size, patch, depth=4):
    args = {
        "img_size": size,
        "patch_size": patch,
        "embed_dim": 24,
        "depth": depth,
        "num_heads": 2,
    }
    return create_encoder("vit_tiny_patch16_224", args)


def small_swin():
    args = {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": [1, 1, 1, 1]}
    return create_encoder("swin_tiny_patch4_window7_224", args)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: vit(32, 8), 32),
        (lambda: vit(32, 4), 32),
        (lambda: vit(64, 16, depth=6), 64),
        (lambda: create_encoder("resnet10t", {}), 64),
        (small_swin, 64),
    ],
    ids=["vit-32-p8", "vit-32-p4", "vit-64-p16", "resnet", "swin"],
)
def test_logits_have_the_pictures_size_and_every_parameter_learns(make, size):
    model = Segmenter(make(), num_classes=11, blocks=[0, 1, 2, 3], channels=16, auxiliary=True)

    main, auxiliary = model(torch.rand(2, 3, size, size))
    (main.square().mean() + 0.4 * auxiliary.square().mean()).backward()

    assert main.shape == auxiliary.shape == (2, 11, size, size)
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.slow
def test_a_512_px_picture_with_16_px_patches_is_labelled():
    model = Segmenter(vit(512, 16), 150, [0, 1, 2, 3], channels=16, auxiliary=False).eval()

    main, auxiliary = model(torch.rand(1, 3, 512, 512))

    assert main.shape == (1, 150, 512, 512)
    assert auxiliary is None


def test_the_pyramid_has_a_quarter_a_half_one_and_two_strides():
    model = Segmenter(vit(64, 16), 2, [0, 1, 2, 3], channels=16, auxiliary=False).eval()
    maps = [torch.rand(1, 24, 4, 4) for _ in range(4)]

    assert [level.shape[-1] for level in model.pyramid(maps)] == [16, 8, 4, 2]


def test_blocks_choose_the_levels_and_later_blocks_are_taken_off():
    encoder = vit(32, 8, depth=6)

    model = Segmenter(encoder, 2, [0, 1, 2, 4], channels=16, auxiliary=False)

    assert len(model.encoder.blocks) == 5


def test_a_shallow_encoder_repeats_blocks():
    model = Segmenter(vit(32, 8, depth=2), 11, [0, 0, 1, 1], channels=16, auxiliary=True)

    main, auxiliary = model(torch.rand(2, 3, 32, 32))
    (main.mean() + auxiliary.mean()).backward()

    assert main.shape == (2, 11, 32, 32)
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_the_auxiliary_head_is_silent_in_evaluation():
    model = Segmenter(vit(32, 8), 2, [0, 1, 2, 3], channels=16, auxiliary=True).eval()

    assert model(torch.rand(1, 3, 32, 32))[1] is None


@pytest.mark.parametrize(
    "blocks", [[0, 1, 2, 9], [3, 2, 1, 0], [0, 1, 2], [0, 1, 0, 2], [-1, 0, 1, 2]]
)
def test_blocks_that_do_not_exist_or_do_not_rise_are_refused(blocks):
    with pytest.raises(InputError, match="blocks"):
        Segmenter(vit(32, 8), 2, blocks, channels=16, auxiliary=False)
