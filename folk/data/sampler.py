"""Order of the training images: a pure function of seed and epoch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from torch.utils.data import Sampler

from folk.evidence.core.errors import InputError


class Draw(NamedTuple):
    """An index into the data set, with its epoch, since worker processes outlive an epoch.

    `copy` counts how often the epoch showed the image before; each copy is augmented anew.
    """

    epoch: int
    place: int
    copy: int = 0


class EpochSampler(Sampler[list[Draw]]):
    """Batches of one process, cut out of batches that are the same whatever the world size.

    Batch `b` of epoch `e` is a fixed set of images; rank `r` of `world` gets its `r`-th part. A
    run can go on in the middle of an epoch, and on another number of processes.

    With `repeats` above 1 an epoch shows fewer images, each so often in a row, and stays as long
    as it is: the rest of the shuffled order is left out. Copies go to different processes, so that
    batch statistics of one process are over different images.

    Source: repeated augmentation as timm's RepeatAugSampler has it. We differ in that timm rounds
        the length of an epoch down to a multiple of 256 where we keep whole batches, and in that
        the order depends on the run's seed too, not on the epoch alone.
    """

    def __init__(
        self,
        length: int,
        *,
        batch: int,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        start_batch: int = 0,
        shuffle: bool = True,
        drop_last: bool = True,
        repeats: int = 1,
    ) -> None:
        """Describe the order.

        Args:
            length: images in the data set.
            batch: images in a batch of all processes together.
            seed: of the order.
            epoch: epoch whose order is used.
            rank: of this process.
            world: number of processes.
            start_batch: batches of this epoch that are done already.
            shuffle: False keeps the order of the data set.
            drop_last: drop an incomplete last batch; False shows every image exactly once, so
                the last batches of the processes may differ in size and even in number.
            repeats: how often each image of an epoch is shown; 1 shows each once.

        Raises:
            InputError: a batch that the processes cannot share equally, or one larger than the
                data set.
        """
        if drop_last and batch % world:
            raise InputError(
                f"batch {batch} is not divisible by {world} processes; give a multiple of {world}"
            )
        if drop_last and length < batch:
            raise InputError(
                f"the data set has {length} images, fewer than one batch of {batch}; "
                "choose a smaller batch"
            )
        assert 0 <= rank < world
        assert repeats == 1 or drop_last, "an evaluation shows each image once"
        self._length = length
        self._batch = batch
        self._seed = seed
        self._rank = rank
        self._world = world
        self._shuffle = shuffle
        self._repeats = repeats
        self.batches_per_epoch = length // batch if drop_last else -(-length // batch)
        self.set_epoch(epoch, start_batch)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch of the next iteration, and its first batch."""
        assert 0 <= start_batch <= self.batches_per_epoch
        self._epoch = epoch
        self._start_batch = start_batch

    def __len__(self) -> int:
        """Number of batches of this process in the next iteration."""
        left = self.batches_per_epoch - self._start_batch
        last = self._length - (self.batches_per_epoch - 1) * self._batch
        whole = left if last >= self._batch else left - 1
        count = max(whole, 0) * (self._batch > self._rank)
        return count + (left > 0 and last < self._batch and last > self._rank)

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self._epoch
        for batch in self._batches():
            if len(batch):
                yield [Draw(epoch, int(place), int(copy)) for place, copy in batch]

    def _batches(self) -> Iterator[Int[np.ndarray, "n 2"]]:
        order = np.arange(self._length)
        if self._shuffle:
            np.random.default_rng((self._seed, self._epoch)).shuffle(order)
        turns = np.arange(self._length)
        draws = np.stack([order[turns // self._repeats], turns % self._repeats], axis=1)
        for number in range(self._start_batch, self.batches_per_epoch):
            whole = draws[number * self._batch : (number + 1) * self._batch]
            if self._repeats > 1:
                yield whole[self._rank :: self._world]
            else:
                yield np.array_split(whole, self._world)[self._rank]
