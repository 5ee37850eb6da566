"""Attacks on a linear classifier end where arithmetic says."""

import pytest
import torch

from folk.stages.attacks import fgsm, pgd

WEIGHTS = torch.tensor([[0.0, 0.0, 0.0, 0.0], [3.0, -1.0, 0.0, 0.5]])
SIGNS = torch.tensor([1.0, -1.0, 0.0, 1.0])
EPS = 1 / 255


def linear(images):
    return images.flatten(1) @ WEIGHTS.T


def images(*values):
    return torch.tensor([list(v) for v in values]).view(len(values), 1, 2, 2)


MIDDLE = images([0.5] * 4, [0.5] * 4)
LABELS = torch.tensor([0, 1])


def test_fgsm_moves_every_pixel_by_eps_away_from_the_true_class():
    moved = fgsm(linear, MIDDLE, LABELS, EPS)

    expected = torch.stack([0.5 + EPS * SIGNS, 0.5 - EPS * SIGNS]).view(2, 1, 2, 2)
    torch.testing.assert_close(moved, expected)
    assert not moved.requires_grad


def test_pgd_reaches_the_corner_of_the_bound_and_stays_there():
    for steps, reach in ((1, 0.5), (2, 1.0), (5, 1.0)):
        moved = pgd(linear, MIDDLE, LABELS, eps=EPS, step=0.5 * EPS, steps=steps)

        expected = torch.stack([0.5 + reach * EPS * SIGNS, 0.5 - reach * EPS * SIGNS])
        torch.testing.assert_close(moved, expected.view(2, 1, 2, 2))


def test_pgd_begins_at_its_start():
    opposite = -EPS * torch.stack([SIGNS, -SIGNS]).view(2, 1, 2, 2)

    moved = pgd(linear, MIDDLE, LABELS, eps=EPS, step=0.5 * EPS, steps=3, start=opposite)

    expected = torch.stack([0.5 + 0.5 * EPS * SIGNS, 0.5 - 0.5 * EPS * SIGNS])
    torch.testing.assert_close(moved, expected.view(2, 1, 2, 2))


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_colors_stay_in_range(attack):
    edge = images([1.0, 0.0, 0.5, 1.0])
    labels = torch.tensor([0])
    if attack == "fgsm":
        moved = fgsm(linear, edge, labels, 0.1)
    else:
        moved = pgd(linear, edge, labels, eps=0.1, step=0.1, steps=2)

    torch.testing.assert_close(moved, edge)  # every pixel that could move stands at its end


def test_each_image_is_attacked_on_its_own():
    alone = fgsm(linear, MIDDLE[:1], LABELS[:1], EPS)

    torch.testing.assert_close(fgsm(linear, MIDDLE, LABELS, EPS)[:1], alone)


def test_the_loss_grows():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 20), torch.nn.Tanh())
    images, labels = torch.rand(8, 3, 4, 4), torch.arange(8)

    def loss(x):
        return torch.nn.functional.cross_entropy(model(x), labels).item()

    once = fgsm(model, images, labels, 0.05)
    often = pgd(model, images, labels, eps=0.05, step=0.02, steps=5)
    assert loss(images) < loss(once) <= loss(often) + 1e-3
    assert (often - images).abs().max() <= 0.05 + 1e-6
