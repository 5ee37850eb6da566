"""The order of images depends on seed and epoch, and on nothing else."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from folk.data.sampler import EpochSampler
from folk.evidence.core.errors import InputError
from tests.faults.table import fault


def places(sampler):
    return [[draw.place for draw in batch] for batch in sampler]


def flat(batches):
    return list(chain.from_iterable(batches))


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_global_batches_are_the_same_whatever_the_world_size(world):
    alone = places(EpochSampler(100, batch=16, seed=5, epoch=3))
    ranks = [
        places(EpochSampler(100, batch=16, seed=5, epoch=3, rank=r, world=world))
        for r in range(world)
    ]

    assert [flat(parts) for parts in zip(*ranks, strict=True)] == alone
    assert all(len(batch) == 16 // world for rank in ranks for batch in rank)


def test_an_epoch_shows_no_image_twice_and_the_next_epoch_orders_them_anew():
    sampler = EpochSampler(100, batch=10, seed=0)
    first = flat(places(sampler))
    sampler.set_epoch(1)
    second = flat(places(sampler))

    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second


def test_another_seed_gives_another_order():
    assert places(EpochSampler(50, batch=10, seed=0)) != places(EpochSampler(50, batch=10, seed=1))


@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_a_start_in_mid_epoch_gives_exactly_the_rest(start):
    whole = places(EpochSampler(50, batch=10, epoch=2))
    sampler = EpochSampler(50, batch=10, epoch=2, start_batch=start)

    assert places(sampler) == whole[start:]
    assert len(sampler) == 5 - start


def test_every_draw_carries_its_epoch():
    sampler = EpochSampler(20, batch=10, epoch=7)

    assert {draw.epoch for batch in sampler for draw in batch} == {7}


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 17])
@fault("Numbers", "a last batch that is not full", "shown to evaluation, left out of training")
def test_evaluation_shows_every_image_once_without_padding(length, world):
    samplers = [
        EpochSampler(length, batch=8, rank=r, world=world, shuffle=False, drop_last=False)
        for r in range(world)
    ]
    seen = [places(sampler) for sampler in samplers]

    assert sorted(flat(flat(rank) for rank in seen)) == list(range(length))
    assert [len(rank) for rank in seen] == [len(sampler) for sampler in samplers]
    assert all(batch for rank in seen for batch in rank)
    if world == 1:
        assert flat(seen[0]) == list(range(length))


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(InputError, match="batch 10 is not divisible by 4 processes"):
        EpochSampler(100, batch=10, world=4)


@fault("Numbers", "a batch larger than the data set", "refused")
def test_a_batch_larger_than_the_data_set_is_refused():
    with pytest.raises(InputError, match="7 images, fewer than one batch of 8"):
        EpochSampler(7, batch=8)


def repeating(**settings):
    return EpochSampler(90, batch=30, seed=5, epoch=3, repeats=3, **settings)


def test_repeated_augmentation_shows_a_third_of_the_images_three_times_in_as_many_batches():
    sampler = repeating()
    draws = flat(sampler)

    assert len(sampler) == 3
    assert len(draws) == 90
    assert Counter(draw.place for draw in draws).most_common(1)[0][1] == 3
    assert len({draw.place for draw in draws}) == 30
    assert len(set(draws)) == 90, "copies are told apart"
    order = np.arange(90)
    np.random.default_rng((5, 3)).shuffle(order)
    assert [draw.place for draw in draws] == np.repeat(order, 3)[:90].tolist()


@pytest.mark.parametrize("world", [2, 3, 5])
def test_copies_of_an_image_are_dealt_to_different_processes(world):
    alone = [set(batch) for batch in repeating()]
    ranks = [list(repeating(rank=r, world=world)) for r in range(world)]

    for number, whole in enumerate(alone):
        parts = [rank[number] for rank in ranks]
        assert {len(part) for part in parts} == {30 // world}
        assert set(flat(parts)) == whole
        if world >= 3:
            assert all(len({draw.place for draw in part}) == len(part) for part in parts)


def test_repeats_go_on_in_mid_epoch_and_differ_between_epochs():
    whole = list(repeating())

    assert list(repeating(start_batch=2)) == whole[2:]
    later = repeating()
    later.set_epoch(4)
    assert {d.place for d in flat(later)} != {d.place for d in flat(whole)}
