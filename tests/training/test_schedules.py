"""Learning rates and momenta at the values that the papers' code gives."""

import numpy as np
import pytest
import torch
from timm import create_model
from torch import nn

from folk.training.optimizer import create_optimizer, layer_decay_groups, weight_decay_groups
from folk.training.schedules import (
    cosine,
    cosine_rate,
    current_rate,
    linear_warmup,
    polynomial_rate,
    scaled_rates,
    teacher_temperature,
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


def test_the_polynomial_rate_ends_at_zero():
    optimizer = sgd(7e-4)
    schedule = polynomial_rate(
        optimizer, updates=160_000, warmup_updates=1500, rate_warmup_start=7e-10, power=1.0
    )

    schedule.step_update(0)
    assert current_rate(optimizer.param_groups) == pytest.approx(7e-10)
    schedule.step_update(80_000)
    assert current_rate(optimizer.param_groups) == pytest.approx(3.5e-4)
    schedule.step_update(160_000)
    assert current_rate(optimizer.param_groups) == 0.0


def test_teacher_momentum_runs_from_its_start_to_its_end():
    values = [cosine(step, 100, 0.996, 1.0) for step in range(100)]

    assert values[0] == pytest.approx(0.996)
    assert values[-1] == pytest.approx(1.0)
    assert values == sorted(values)


def test_the_teacher_temperature_warms_up_and_stays():
    assert linear_warmup(0, 30, 0.04, 0.07) == pytest.approx(0.04)
    assert linear_warmup(15, 30, 0.04, 0.07) == pytest.approx(0.055)
    assert linear_warmup(30, 30, 0.04, 0.07) == 0.07
    assert linear_warmup(0, 0, 0.04, 0.07) == 0.07


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 0.04), (0.99, 0.04), (15, 0.04 + 0.03 * 15 / 29), (15.5, 0.04 + 0.03 * 15 / 29),
     (28, 0.04 + 0.03 * 28 / 29), (29, 0.07), (30, 0.07), (299, 0.07)],
)  # fmt: skip
def test_the_teachers_temperature_warms_up_epoch_by_epoch_as_in_dino(epoch, expected):
    assert teacher_temperature(float(epoch), 30.0, 0.04, 0.07) == pytest.approx(expected, abs=1e-12)


def test_the_teachers_temperatures_are_those_of_dinos_linspace():
    whole = np.concatenate([np.linspace(0.04, 0.07, 30), np.full(20, 0.07)])

    assert [teacher_temperature(float(e), 30.0, 0.04, 0.07) for e in range(50)] == pytest.approx(
        list(whole)
    )


@pytest.mark.parametrize(
    ("warmup", "expected"), [(0.0, [0.07, 0.07]), (1.0, [0.04, 0.07]), (1.5, [0.04, 0.07])]
)
def test_a_warm_up_of_one_epoch_starts_low_and_one_of_none_does_not(warmup, expected):
    assert [teacher_temperature(e, warmup, 0.04, 0.07) for e in (0.0, 1.0)] == expected


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


def test_vectors_tokens_and_positions_are_not_decayed():
    model = create_model("vit_tiny_patch16_224", num_classes=0, depth=1)
    spared, decayed = weight_decay_groups([model], 0.05)

    count = sum(1 for _ in model.parameters())
    assert len(spared["params"]) + len(decayed["params"]) == count
    assert all(p.ndim > 1 for p in decayed["params"])
    assert any(p is model.pos_embed for p in spared["params"])
    assert any(p is model.cls_token for p in spared["params"])
    assert spared["weight_decay"] == 0.0


def test_the_schedule_keeps_layer_decay():
    low, high = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    groups = [{"params": [low], "lr_scale": 0.5}, {"params": [high], "lr_scale": 1.0}]
    optimizer = create_optimizer("adamw", groups, lr=1.0, betas=[0.9, 0.95], eps=1e-8)
    schedule = cosine_rate(
        optimizer, updates=10, warmup_updates=0, rate_min=0.0, rate_warmup_start=0.0,
        warmup_prefix=True,
    )  # fmt: skip

    schedule.step_update(5)

    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.25)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.5)


@pytest.mark.parametrize("gradient", [2.0, 200.0])
def test_lamb_clips_nothing_that_a_recipe_does_not_ask_for(gradient):
    weight = nn.Parameter(torch.ones(4))
    groups = [{"params": [weight], "weight_decay": 0.0}]
    optimizer = create_optimizer("lamb", groups, lr=0.1, betas=[0.9, 0.999], eps=1.0)
    weight.grad = torch.full((4,), gradient)

    optimizer.step()

    # Adam's first step, g / (|g| + eps); cut to norm 1 the gradient would be 0.5 either way.
    assert weight[0].item() == pytest.approx(1.0 - 0.1 * gradient / (gradient + 1.0), abs=1e-5)
