"""The head, the running mean and the follower do what self-distillation needs."""

import copy

import pytest
import torch
from torch import nn

from folk.methods.distillation import (
    Centering,
    DistillationHead,
    PlainHead,
    cancel_last_layer_gradients,
    ema_update,
)


def test_the_last_layer_is_weight_normalization_with_gain_one():
    head = DistillationHead(8, out_features=20, hidden=16, bottleneck=6)
    reference = nn.utils.parametrizations.weight_norm(nn.Linear(6, 20, bias=False))
    with torch.no_grad():
        reference.parametrizations.weight.original0.fill_(1.0)
        reference.parametrizations.weight.original1.copy_(head.last_layer.weight)
    direction = torch.randn(4, 6)

    torch.testing.assert_close(head.last_layer(direction), reference(direction))


def test_logits_are_cosines():
    logits = DistillationHead(8, out_features=20, hidden=16, bottleneck=6)(100 * torch.randn(64, 8))

    assert logits.abs().max() <= 1.0 + 1e-6


def test_a_head_has_dinos_layers_and_no_gain_unless_asked():
    head = DistillationHead(5, out_features=7, hidden=4, bottleneck=3)

    assert [tuple(p.shape) for p in head.parameters()] == [
        (4, 5), (4,), (4, 4), (4,), (3, 4), (3,), (7, 3)
    ]  # fmt: skip
    assert head.last_layer.gain is None
    assert all(not layer.bias.any() for layer in head.mlp if hasattr(layer, "bias"))
    assert DistillationHead(5, 7, 4, 3, learn_gain=True).last_layer.gain is not None


def test_a_learned_gain_scales_the_rows():
    head = DistillationHead(8, out_features=20, hidden=16, bottleneck=6, learn_gain=True)
    features = torch.randn(4, 8)
    before = head(features)
    with torch.no_grad():
        head.last_layer.gain.fill_(3.0)

    torch.testing.assert_close(head(features), 3.0 * before)


def test_the_last_layer_starts_as_the_linear_layer_that_dino_wraps():
    weight = DistillationHead(8, out_features=20_000, hidden=16, bottleneck=256).last_layer.weight

    # Uniform between -1/16 and 1/16: standard deviation 1/16/sqrt(3), rows of length 0.577.
    assert weight.abs().max() <= 1 / 16
    assert weight.std().item() == pytest.approx(0.0361, abs=1e-4)
    assert weight.norm(dim=1).mean().item() == pytest.approx(0.577, abs=2e-3)


def test_the_plain_head_has_three_layers_and_logits_without_bound():
    head = PlainHead(5, out_features=7, hidden=4)

    assert [tuple(p.shape) for p in head.parameters()] == [
        (4, 5), (4,), (4, 4), (4,), (7, 4), (7,)
    ]  # fmt: skip
    features = torch.randn(64, 5)
    assert head(1e6 * features).abs().max() > 1e3 * head(features).abs().max()


@pytest.mark.parametrize(
    "head",
    [DistillationHead(8, out_features=20, hidden=16, bottleneck=6), PlainHead(8, 20, hidden=16)],
    ids=lambda head: type(head).__name__,
)
def test_a_held_last_layer_does_not_move_and_the_rest_does(head):
    before = copy.deepcopy(head)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1, weight_decay=0.1)

    head(torch.randn(4, 8)).square().sum().backward()
    cancel_last_layer_gradients(head)
    optimizer.step()

    assert torch.equal(before.last_layer.weight, head.last_layer.weight)
    assert not torch.equal(before.mlp[0].weight, head.mlp[0].weight)


def test_the_center_moves_by_a_tenth_of_the_way():
    centering = Centering(3, momentum=0.9)

    centering.observe(torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0]]))
    centering.move()
    centering.observe(torch.tensor([[2.0, 2.0, 10.0]]))
    centering.move()

    torch.testing.assert_close(centering.center, torch.tensor([0.38, 0.38, 1.0]))


def test_the_teacher_moves_towards_the_student_by_one_minus_the_momentum():
    teacher, student = nn.Linear(3, 2), nn.Linear(3, 2)
    before = copy.deepcopy(teacher)

    ema_update(teacher.parameters(), student.parameters(), 0.75)

    for new, old, leader in zip(
        teacher.parameters(), before.parameters(), student.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * leader)


@pytest.mark.parametrize("head", [DistillationHead(8, 20, 16, 6), PlainHead(8, 20, 16)])
def test_logits_are_float32_products_under_autocast(head):
    seen = []
    head.last_layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(torch.randn(4, 8))

    assert (logits.dtype, seen[0].dtype) == (torch.float32, torch.float32)
    with torch.autocast("cpu", enabled=False):
        exact = head.last_layer(seen[0])
    assert torch.equal(logits, exact)
