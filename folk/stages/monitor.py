"""Observation of a pre-training while it runs; nothing here changes what is trained."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from folk.data.dataset import ImageDataset
from folk.data.shards import PreparedData
from folk.data.transforms import EvalTransform, unit_range
from folk.evidence.core.errors import InputError
from folk.methods.base import Method
from folk.models.frozen import frozen_feature
from folk.stages.images import autocast
from folk.stages.neighbors import nearest
from folk.training.distributed import World

NUM_BANK, NUM_QUERIES = 2000, 1000
# At most one image of so many of an epoch, so that its time stays small on small data too.
ONE_OF = 24
NEIGHBORS, TEMPERATURE = 20, 0.07

# Below these, all images look alike to the encoder or to the teacher. Of the first, MFM in the demo
# has 0.03 at times and learns; at the second, one prototype has 98 % of the mean distribution.
COLLAPSED = {"feature_std": 0.002, "teacher_entropy_of_mean": 0.1}

Live = Callable[[int, dict[str, float]], None]


class OnlineKnn:
    """k-NN accuracy of a growing encoder on a few training images, by their labels.

    Validation and test images are not read, and nothing is chosen by the accuracy. The images are
    the same for all runs on a data set, and stay in memory.
    """

    def __init__(self, data: PreparedData, size: int, images_per_epoch: int) -> None:
        """Choose and read the images."""
        table = data.split("train") if data.counts.get("train") else None
        labels = np.empty(0, np.int32) if table is None else table.labels()
        usable = np.flatnonzero(labels >= 0)
        count = min(NUM_BANK + NUM_QUERIES, len(usable), max(3, images_per_epoch // ONE_OF))
        self._num_classes = len(data.classes)
        # Fewer classes or images have no accuracy.
        self.is_possible = self._num_classes > 1 and count > 2
        if table is None or not self.is_possible:
            return
        rows = np.random.default_rng(0).permutation(usable)[:count]
        images = ImageDataset(table.select(rows), EvalTransform(resize=size, crop=size))
        self._images: UInt8[Tensor, "n 3 h w"] = torch.stack(
            [images[index]["image"] for index in range(count)]
        )
        self._labels = labels[rows]
        self._num_queries = count * NUM_QUERIES // (NUM_BANK + NUM_QUERIES)

    def __call__(
        self, encoder: nn.Module, method: Method, *, batch: int, precision: str, world: World
    ) -> dict[str, float]:
        """Measure `online_knn_top1`, in [0, 1]; nothing where a feature is zero.

        Args:
            encoder: the one to measure; in training mode before and after.
            method: normalizes images, and names the feature.
        """
        features = []
        with _evaluating(encoder), torch.no_grad(), autocast(world, precision):
            for block in self._images.split(batch):
                shown = method.normalize(unit_range(block.to(world.device)))
                features.append(frozen_feature(encoder, shown, method.feature).float().cpu())
        rows, queries = torch.cat(features).numpy(), self._num_queries
        try:
            similarity, places = nearest(rows[:queries], rows[queries:], NEIGHBORS, world.device)
        except InputError:
            return {}  # `feature_std` shows it
        # Not the probe's votes: a change of its code must not make trainings outdated.
        votes = np.zeros((queries, self._num_classes))
        each = np.arange(queries)[:, None], self._labels[queries:][places]
        np.add.at(votes, each, np.exp(similarity / TEMPERATURE))
        return {"online_knn_top1": float((votes.argmax(axis=1) == self._labels[:queries]).mean())}


def warning_of_collapse(live: Live, first_step: int) -> Live:
    """Print one line if an indicator shows a collapse, then go on with `live`.

    Args:
        first_step: updates before which nothing is printed; an untrained encoder gives nearly
            equal features too.
    """
    warned = False

    def watched(step: int, values: dict[str, float]) -> None:
        nonlocal warned
        sign = _sign_of_collapse(values)
        if sign and step > first_step and not warned:
            warned = True
            print(
                f"warning: update {step}: {sign}: collapsed, all images look alike; lower the "
                "learning rate, or check filter and temperatures",
                file=sys.stderr,
            )
        live(step, values)

    return watched


def _sign_of_collapse(values: Mapping[str, float]) -> str | None:
    for name, least in COLLAPSED.items():
        if values.get(name, least) < least:
            return f"{name} {values[name]:.2g} is below {least}"
    return None


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    module.eval()
    try:
        yield
    finally:
        module.train()
