"""Learning rates and momenta at the values that the papers' code gives."""

import math

import numpy as np
import pytest
import torch
from timm import create_model
from torch import nn

from folk.methods.distillation import cosine, teacher_temperature
from folk.models.encoder import create_encoder
from folk.models.heads import ReconstructionHead
from folk.models.segmenter import Segmenter
from folk.training.optimizer import create_optimizer, layer_decay_groups, weight_decay_groups
from folk.training.schedules import (
    PolynomialRate,
    cosine_rate,
    current_rate,
    linear_warmup,
    scaled_rates,
)


def sgd(lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def test_rates_scale_to_the_published_values_at_batch_2048():
    pretraining = scaled_rates(2048, 512, peak=3e-4, start=2.5e-7, minimum=2.5e-6)
    finetuning = scaled_rates(2048, 512, peak=2e-3, low=2e-4, minimum=2.5e-7)

    assert pretraining == pytest.approx({"peak": 1.2e-3, "start": 1e-6, "minimum": 1e-5})
    assert finetuning == pytest.approx({"peak": 8e-3, "low": 8e-4, "minimum": 1e-6})


@pytest.mark.parametrize(("prefix", "after"), [(False, 1.187e-3), (True, 1.2e-3)])
def test_the_rate_drops_after_the_warm_up_only_without_prefix(prefix, after):
    optimizer = sgd(1.2e-3)
    per_epoch = 625
    schedule = cosine_rate(
        optimizer,
        updates=300 * per_epoch,
        warmup_updates=20 * per_epoch,
        rate_min=1e-5,
        rate_warmup_start=1e-6,
        warmup_prefix=prefix,
    )

    def rate(update: int) -> float:
        schedule.step_update(update)
        return current_rate(optimizer.param_groups)

    assert rate(0) == pytest.approx(1e-6)
    assert rate(20 * per_epoch - 1) == pytest.approx(1.2e-3, rel=1e-4)
    assert rate(20 * per_epoch) == pytest.approx(after, abs=5e-7)
    assert rate(300 * per_epoch - 1) == pytest.approx(1e-5, rel=1e-3)


@pytest.mark.parametrize(
    ("update", "share"),
    [
        (0, 1e-6),
        (750, (1 - 750 / 160_000) * 0.5000005),
        (1499, (1 - 1499 / 160_000) * (1 - 0.999999 / 1500)),
        (1500, 1 - 1500 / 160_000),
        (80_000, 0.5),
        (159_999, 1 / 160_000),
        (160_000, 0.0),
    ],
)
def test_the_polynomial_rate_follows_beit_in_every_layer(update, share):
    groups = [
        {"params": [nn.Parameter(torch.zeros(1))], "lr_scale": scale} for scale in (0.65**13, 1.0)
    ]
    optimizer = create_optimizer("adamw", groups, lr=7e-4, betas=[0.9, 0.999], eps=1e-8)
    schedule = PolynomialRate(
        optimizer, updates=160_000, warmup_updates=1500, warmup_ratio=1e-6, power=1.0
    )

    schedule.step_update(update)

    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([7e-4 * 0.65**13 * share, 7e-4 * share])
    assert current_rate(optimizer.param_groups) == rates[1]


def test_teacher_momentum_runs_from_its_start_to_its_end():
    values = [cosine(step, 100, 0.996, 1.0) for step in range(100)]

    assert values[0] == pytest.approx(0.996)
    assert values[-1] == pytest.approx(1.0)
    assert values == sorted(values)


def test_a_linear_warm_up_rises_and_stays():
    assert linear_warmup(0, 30, 0.04, 0.07) == pytest.approx(0.04)
    assert linear_warmup(15, 30, 0.04, 0.07) == pytest.approx(0.055)
    assert linear_warmup(30, 30, 0.04, 0.07) == 0.07
    assert linear_warmup(0, 0, 0.04, 0.07) == 0.07


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 0.04), (15, 0.04 + 0.03 * 15 / 29),
     (28, 0.04 + 0.03 * 28 / 29), (29, 0.07), (30, 0.07), (299, 0.07)],
)  # fmt: skip
def test_the_teachers_temperature_warms_up_epoch_by_epoch_as_in_dino(epoch, expected):
    assert teacher_temperature(epoch, 30, 0.04, 0.07) == pytest.approx(expected, abs=1e-12)


def test_the_teachers_temperatures_are_those_of_dinos_linspace():
    whole = np.concatenate([np.linspace(0.04, 0.07, 30), np.full(20, 0.07)])

    assert [teacher_temperature(e, 30, 0.04, 0.07) for e in range(50)] == pytest.approx(list(whole))


@pytest.mark.parametrize(("warmup", "expected"), [(0, [0.07, 0.07]), (1, [0.04, 0.07])])
def test_a_warm_up_of_one_epoch_starts_low_and_one_of_none_does_not(warmup, expected):
    assert [teacher_temperature(e, warmup, 0.04, 0.07) for e in (0, 1)] == expected


def test_vit_b_has_fourteen_depths_of_layer_decay():
    with torch.device("meta"):
        model = create_model("vit_base_patch16_224", num_classes=10, global_pool="avg")
    names = {id(p): name for name, p in model.named_parameters()}
    scales = {}
    for group in layer_decay_groups(model, 0.05, 0.8):
        for parameter in group["params"]:
            scales[names[id(parameter)]] = group["lr_scale"]

    assert len(set(scales.values())) == 14
    assert scales["pos_embed"] == pytest.approx(0.8**13)
    assert scales["pos_embed"] == pytest.approx(0.05498, abs=5e-6)
    for block in range(12):
        assert scales[f"blocks.{block}.mlp.fc1.weight"] == pytest.approx(0.8 ** (12 - block))
    assert scales["fc_norm.weight"] == scales["head.weight"] == 1.0


def scales_of(encoder, layer_decay):
    """Share of the rate of each parameter, by name."""
    names = {id(p): name for name, p in encoder.named_parameters()}
    return {
        names[id(parameter)]: group["lr_scale"]
        for group in layer_decay_groups(encoder, 0.05, layer_decay)
        for parameter in group["params"]
    }


@pytest.mark.parametrize("pruned", [True, False])
def test_a_vit_below_a_decoder_has_the_shares_that_it_has_below_its_head(pruned):
    with torch.device("meta"):
        encoder = create_encoder("vit_base_patch16_224", {})
    if pruned:
        Segmenter(encoder, 150, [3, 5, 7, 11], channels=8, dropout=0.1, auxiliary_channels=None)

    scales = scales_of(encoder, 0.65)

    assert scales["pos_embed"] == scales["cls_token"] == pytest.approx(0.65**13)
    assert scales["patch_embed.proj.weight"] == pytest.approx(0.65**13)
    for block in range(12):
        assert scales[f"blocks.{block}.mlp.fc1.weight"] == pytest.approx(0.65 ** (12 - block))
        assert scales[f"blocks.{block}.norm1.bias"] == pytest.approx(0.65 ** (12 - block))
    assert max(scales.values()) == pytest.approx(0.65)


@pytest.mark.parametrize(
    "name", ["resnet10t", "swin_tiny_patch4_window7_224", "densenet121", "poolformer_s12"]
)
def test_only_a_head_learns_at_the_whole_rate(name):
    with torch.device("meta"):
        whole, encoder = create_model(name, num_classes=10), create_model(name, num_classes=0)
        available = len(encoder.feature_info)
        encoder.prune_intermediate_layers(list(range(available - 4, available)), prune_norm=True)

    with_head, without = scales_of(whole, 0.5), scales_of(encoder, 0.5)

    assert max(with_head.values()) == 1.0
    assert {key: without[key] for key in without.keys() & with_head.keys()} == pytest.approx(
        {key: with_head[key] for key in without}
    )


def test_vectors_tokens_and_positions_are_not_decayed():
    model = create_model("vit_tiny_patch16_224", num_classes=0, depth=1)
    spared, decayed = weight_decay_groups([model], 0.05)

    count = sum(1 for _ in model.parameters())
    assert len(spared["params"]) + len(decayed["params"]) == count
    assert all(p.ndim > 1 for p in decayed["params"])
    assert any(p is model.pos_embed for p in spared["params"])
    assert any(p is model.cls_token for p in spared["params"])
    assert spared["weight_decay"] == 0.0


def test_a_name_is_not_decayed_in_a_part_of_a_module_either():
    head = ReconstructionHead.for_encoder(
        create_model("vit_tiny_patch16_224", num_classes=0, depth=1), decoder_depth=1
    )
    spared, decayed = weight_decay_groups([head], 0.05)

    assert any(p is head.decoder.pos_embed for p in spared["params"])
    assert all(p.ndim > 1 for p in decayed["params"])


def fourteen_layers():
    """An optimizer of ViT-B's 14 depths in MFM's fine-tuning, head first."""
    groups = [
        {"params": [nn.Parameter(torch.zeros(1))], "lr_scale": 0.8**depth} for depth in range(14)
    ]
    return create_optimizer("adamw", groups, lr=8e-3, betas=[0.9, 0.999], eps=1e-8)


def mfms_schedule(optimizer):
    """100 epochs of 625 updates, the first five of them warm-up."""
    return cosine_rate(
        optimizer,
        updates=62_500,
        warmup_updates=3125,
        rate_min=1e-6,
        rate_warmup_start=1e-6,
        warmup_prefix=False,
    )


def test_layers_differ_in_their_peak_and_neither_in_start_nor_in_end():
    optimizer = fourteen_layers()
    schedule = mfms_schedule(optimizer)
    peaks = [8e-3 * 0.8**depth for depth in range(14)]
    assert peaks[13] == pytest.approx(4.4e-4, rel=1e-3)

    for update in [*range(0, 62_500, 125), 3124, 3125, 62_499, 62_500]:
        schedule.step_update(update)
        done = (1 + math.cos(math.pi * update / 62_500)) / 2
        wanted = [
            1e-6 + (peak - 1e-6) * (update / 3125 if update < 3125 else done) for peak in peaks
        ]
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(wanted)
        assert current_rate(optimizer.param_groups) == pytest.approx(wanted[0])

    for update in (0, 62_500):
        schedule.step_update(update)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-6] * 14)


def test_a_resumed_optimizer_goes_on_with_the_rates_of_its_layers():
    first, second = fourteen_layers(), fourteen_layers()
    mfms_schedule(first).step_update(20_000)
    schedule = mfms_schedule(second)
    second.load_state_dict(first.state_dict())

    for update in (20_000, 30_000):
        schedule.step_update(update)
        mfms_schedule(whole := fourteen_layers()).step_update(update)
        rates = [[group["lr"] for group in o.param_groups] for o in (second, whole)]
        assert rates[0] == rates[1]


@pytest.mark.parametrize("gradient", [2.0, 200.0])
def test_lamb_clips_nothing_that_a_recipe_does_not_ask_for(gradient):
    weight = nn.Parameter(torch.ones(4))
    groups = [{"params": [weight], "weight_decay": 0.0}]
    optimizer = create_optimizer("lamb", groups, lr=0.1, betas=[0.9, 0.999], eps=1.0)
    weight.grad = torch.full((4,), gradient)

    optimizer.step()

    # Adam's first step, g / (|g| + eps); cut to norm 1 the gradient would be 0.5 either way.
    assert weight[0].item() == pytest.approx(1.0 - 0.1 * gradient / (gradient + 1.0), abs=1e-5)
