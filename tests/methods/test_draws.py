"""However a batch is shared out, each image gets the same numbers."""

import torch

from folk.filters.rng import BatchRng


def everything(rng: BatchRng) -> list[torch.Tensor]:
    one = torch.tensor([rng.integer(1000)])
    pair = rng.bernoulli_pair(0.5, "independent")
    return [one, rng.bernoulli(0.3), rng.integers(7), rng.uniform(5), *pair]


def test_the_shares_of_two_processes_are_the_halves_of_the_whole():
    whole = everything(BatchRng(3, 64))
    first = everything(BatchRng(3, 64, slice(0, 32)))
    second = everything(BatchRng(3, 64, slice(32, 64)))

    assert torch.equal(whole[0], first[0])
    assert torch.equal(whole[0], second[0])
    for together, left, right in zip(whole[1:], first[1:], second[1:], strict=True):
        assert torch.equal(together, torch.cat([left, right]))


def test_one_of_each_gives_the_second_view_what_the_first_has_not():
    first, second = BatchRng(0, 100).bernoulli_pair(0.5, "one_of_each")

    assert torch.equal(first, ~second)
    assert 30 < first.sum() < 70


def test_coins_fall_with_their_probability():
    share = BatchRng(0, 10_000).bernoulli(0.3).float().mean().item()

    assert abs(share - 0.3) < 0.02
