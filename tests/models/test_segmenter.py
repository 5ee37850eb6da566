"""The segmenter labels every pixel of small and of large images."""

import pytest
import torch
from timm.layers import convert_sync_batchnorm

from folk.evidence.core.errors import InputError
from folk.models.encoder import create_encoder, encode
from folk.models.segmenter import Segmenter

ALL = [0, 1, 2, 3]


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
    ("make", "size", "blocks"),
    [
        (lambda: vit(32, 8), 32, ALL),
        (lambda: vit(32, 4), 32, ALL),
        (lambda: vit(64, 16, depth=6), 64, ALL),
        (lambda: create_encoder("resnet10t", {}), 64, ALL),
        (small_swin, 64, ALL),
        (lambda: vit(32, 8, depth=2), 32, [0, 0, 1, 1]),
    ],
    ids=["vit-32-p8", "vit-32-p4", "vit-64-p16", "resnet", "swin", "shallow"],
)
def test_logits_have_the_images_size_and_every_parameter_learns(make, size, blocks):
    model = Segmenter(
        make(), num_classes=11, blocks=blocks, channels=16, dropout=0.1, auxiliary_channels=8
    )

    main, auxiliary = model(torch.rand(2, 3, size, size))
    (main.square().mean() + 0.4 * auxiliary.square().mean()).backward()

    assert main.shape == auxiliary.shape == (2, 11, size, size)
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.slow
def test_a_512_px_image_with_16_px_patches_is_labeled():
    model = Segmenter(
        vit(512, 16), 150, [0, 1, 2, 3], channels=16, dropout=0.1, auxiliary_channels=None
    ).eval()

    main, auxiliary = model(torch.rand(1, 3, 512, 512))

    assert main.shape == (1, 150, 512, 512)
    assert auxiliary is None


def test_the_pyramid_has_a_quarter_a_half_one_and_two_strides():
    model = Segmenter(
        vit(64, 16), 2, [0, 1, 2, 3], channels=16, dropout=0.1, auxiliary_channels=None
    ).eval()
    maps = [torch.rand(1, 24, 4, 4) for _ in range(4)]

    assert [level.shape[-1] for level in model.pyramid(maps)] == [16, 8, 4, 2]


def test_blocks_choose_the_levels_and_later_blocks_are_taken_off():
    encoder = vit(32, 8, depth=6)

    model = Segmenter(encoder, 2, [0, 1, 2, 4], channels=16, dropout=0.1, auxiliary_channels=None)

    assert len(model.encoder.blocks) == 5


@pytest.mark.parametrize(
    "blocks", [[0, 1, 2, 9], [3, 2, 1, 0], [0, 1, 2], [0, 1, 0, 2], [-1, 0, 1, 2]]
)
def test_blocks_that_do_not_exist_or_do_not_rise_are_refused(blocks):
    with pytest.raises(InputError, match="blocks"):
        Segmenter(vit(32, 8), 2, blocks, channels=16, dropout=0.1, auxiliary_channels=None)


def wide_segmenter(dropout=0.1):
    return Segmenter(
        vit(32, 8), 150, [0, 1, 2, 3], channels=16, dropout=dropout, auxiliary_channels=256
    )


def test_no_map_has_a_layer_norm_of_its_own():
    outside = [m for name, m in wide_segmenter().named_modules() if not name.startswith("encoder")]

    assert not [m for m in outside if isinstance(m, torch.nn.LayerNorm)]


def test_the_decoder_has_upernets_parameters_and_no_others():
    # Convolutions without bias, each with the two vectors of its batch norm; maps of 24 channels.
    pooled = 4 * (24 * 16 + 2 * 16)
    pooled_fusion = 9 * (24 + 4 * 16) * 16 + 2 * 16
    lateral, top_down = 3 * (24 * 16 + 2 * 16), 3 * (9 * 16 * 16 + 2 * 16)
    fusion = 9 * (4 * 16) * 16 + 2 * 16

    found = sum(p.numel() for p in wide_segmenter().decoder.parameters())

    assert found == pooled + pooled_fusion + lateral + top_down + fusion


def test_the_auxiliary_head_is_one_convolution_of_256_channels():
    head = wide_segmenter().auxiliary_head

    assert sum(p.numel() for p in head.parameters()) == 9 * 24 * 256 + 2 * 256 + 257 * 150
    convolutions = [m for m in head.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size) for c in convolutions] == [(256, (3, 3)), (150, (1, 1))]


def test_both_heads_drop_a_tenth_of_the_channels_before_their_classifier():
    model = wide_segmenter()

    for classifier in (model.head, model.auxiliary_head[-1]):
        dropout, convolution = classifier
        assert (type(dropout), dropout.p) == (torch.nn.Dropout2d, 0.1)
        assert convolution.kernel_size == (1, 1)
    assert sum(isinstance(m, torch.nn.Dropout2d) for m in model.modules()) == 2


def test_dropout_and_the_auxiliary_head_are_silent_in_evaluation():
    model = wide_segmenter(dropout=0.9).eval()
    images = torch.rand(1, 3, 32, 32)
    main, auxiliary = model(images)

    assert torch.equal(main, model(images)[0])
    assert auxiliary is None


@pytest.mark.parametrize("name", ["resnet10t", "resnetv2_18", "vit_tiny_patch16_224"])
def test_batch_norm_is_shared_in_place_and_keeps_its_weights_and_activations(name):
    args = {} if name.startswith("resnet") else {"img_size": 64, "depth": 4}
    model = Segmenter(
        create_encoder(name, args), 5, [0, 1, 2, 3], channels=8, dropout=0.1, auxiliary_channels=8
    )
    parameters, own = dict(model.named_parameters()), batch_norms(model)

    convert_sync_batchnorm(model)

    shared = batch_norms(model)
    assert shared.keys() == own.keys() != set()
    assert all(isinstance(m, torch.nn.SyncBatchNorm) for m in shared.values())
    assert all(p is parameters[name] for name, p in model.named_parameters())
    assert [getattr(m, "act", None) for m in shared.values()] == [
        getattr(m, "act", None) for m in own.values()
    ]


def batch_norms(model):
    kind = torch.nn.modules.batchnorm._BatchNorm
    return {name: m for name, m in model.named_modules() if isinstance(m, kind)}


BEIT = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 12, "num_heads": 4}
# One of each class that passes patch tokens through all blocks.
TOKEN_ENCODERS = {
    "vit": ("vit_tiny_patch16_224", BEIT),
    "beit": ("beit_base_patch16_224", BEIT),
    "eva": ("eva02_tiny_patch14_224", BEIT),
    "dinov3": ("vit_small_patch16_dinov3", BEIT),
    "cait": ("cait_xxs24_224", BEIT),
    "convit": ("convit_tiny", {**BEIT, "embed_dim": 16, "local_up_to_layer": 10}),
    "relpos": ("vit_relpos_small_patch16_224", BEIT),
    "distilled": ("deit_tiny_distilled_patch16_224", BEIT),
}


@pytest.mark.parametrize(("name", "args"), TOKEN_ENCODERS.values(), ids=TOKEN_ENCODERS)
def test_patch_tokens_of_any_class_are_segmented_from_the_recipes_blocks(name, args):
    encoder = create_encoder(name, args)

    model = Segmenter(encoder, 2, [3, 5, 7, 11], channels=16, dropout=0.0, auxiliary_channels=None)

    assert model.levels == (3, 5, 7, 11)
    maps = [torch.rand(1, encoder.num_features, 4, 4) for _ in range(4)]
    assert [level.shape[-1] for level in model.pyramid(maps)] == [16, 8, 4, 2]


def rows_and_columns_without_gradient(model, size):
    images = torch.rand(2, 3, size, size, requires_grad=True)
    main, _ = model.train()(images)
    weights = torch.rand(main.shape, generator=torch.Generator().manual_seed(0))
    (main * weights).sum().backward()
    seen = images.grad.abs().sum(dim=(0, 1)) > 0
    return (~seen.any(dim=1)).sum().item() + (~seen.any(dim=0)).sum().item()


@pytest.mark.parametrize("name", [*TOKEN_ENCODERS, "swin", "resnet"])
def test_every_row_and_column_of_an_image_reaches_a_logit(name):
    encoder = (
        create_encoder(*TOKEN_ENCODERS[name])
        if name in TOKEN_ENCODERS
        else {"swin": small_swin, "resnet": lambda: create_encoder("resnet10t", {})}[name]()
    )
    size = 32 if name in TOKEN_ENCODERS else 64
    blocks = [3, 5, 7, 11] if name in TOKEN_ENCODERS else [0, 1, 2, 3]
    model = Segmenter(encoder, 3, blocks, channels=16, dropout=0.0, auxiliary_channels=None)

    assert rows_and_columns_without_gradient(model, size) == 0


@pytest.mark.parametrize(
    "name", ["mixer_s16_224", "xcit_nano_12_p8_224", "volo_d1_224", "crossvit_tiny_240"]
)
def test_an_encoder_with_neither_tokens_nor_four_halving_levels_is_refused_by_name(name):
    with torch.device("meta"):
        encoder = create_encoder(name, {})

        with pytest.raises(
            InputError, match=r"encoder.timm_name: .*take a ViT, a Swin or a ResNet"
        ):
            Segmenter(encoder, 2, [0, 1, 2, 3], channels=8, dropout=0.0, auxiliary_channels=None)
        with pytest.raises(InputError, match="neither patch tokens nor a feature map"):
            encode(encoder, torch.empty(1, 3, *encoder.default_cfg["input_size"][1:]))
