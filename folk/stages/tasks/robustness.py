"""Robustness of a fine-tuned classifier: other sets, corruptions, attacks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from folk.data.corruptions import CorruptedImage
from folk.data.dataset import ImageDataset
from folk.data.repeated import LEARNED
from folk.data.shards import PreparedData
from folk.data.transforms import EvalTransform, Transform, unit_range
from folk.data.wnids import positions_among
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.results.metrics.corruption import (
    SEVERITIES,
    corruption_split,
    robustness_metrics,
)
from folk.evidence.results.metrics.variants import write_variants
from folk.models.classifier import ClassifierInfo, load_classifier
from folk.models.encoder import check_size, create_encoder, try_images
from folk.stages.attacks import fgsm, pgd
from folk.stages.images import autocast, cache_bytes, normalize, run_inference
from folk.stages.recipes.base import Encoder, Evaluate
from folk.stages.robustness import Attack, RobustnessRecipe
from folk.stages.task import Task
from folk.training.distributed import World
from folk.training.randomness import derived_seed

Batch = dict[str, Any]
# Images in [0, 1], their classes and indices -> attacked images in [0, 1].
Move = Callable[[Tensor, Tensor, Tensor], Tensor]

CLEAN = "val"  # the split of the first set
GRAY_LEVEL = 1.0 / 255.0
NUMBERED = "imagenet-v2"  # kind of set whose classes are named 0 to 999, in ImageNet's order


def check_fit(recipe: RobustnessRecipe, encoder: Encoder) -> None:
    """Check that a classifier of the encoder takes the images."""
    model = create_encoder(encoder.timm_name, encoder.timm_args)
    try_images(model, recipe.evaluate.crop, "evaluate.crop")
    try_images(model, recipe.evaluate_corrupted.crop, "evaluate_corrupted.crop")


@dataclass(frozen=True)
class Variant:
    """Images of one measured accuracy."""

    name: str
    data: PreparedData
    split: str
    transform: Transform
    move: Move | None = None  # an attack


def robustness(task: Task[RobustnessRecipe]) -> dict[str, float]:
    """Classify the images of every split of every set, corrupted ones, and attacked ones.

    Split `val` of the first set holds the clean images, which are also corrupted in memory and
    attacked. Of all sets, every split but those for training is measured; a split called `fog-3` is
    corruption fog at severity 3. A set with fewer classes than the classifier restricts the logits
    to its own, by WordNet id or, where the set has none, by name.

    Returns:
        the numbers of `robustness_metrics` in `folk.evidence.results.metrics.corruption`, and the
        number of clean images.

    Raises:
        InputError: a set has a class that the classifier lacks, or incomplete corruptions.
    """
    recipe, world = task.recipe, task.world
    sets = [PreparedData.open(folder) for folder in task.folders("dataset")]
    model, info = load_classifier(task.folder("classifier"))
    check_size(model, recipe.evaluate.crop, "evaluate.crop")
    check_size(model, recipe.evaluate_corrupted.crop, "evaluate_corrupted.crop")
    model = world.place(model).eval().requires_grad_(False)
    to_normal = partial(normalize, mean=info.mean, std=info.std)

    def classify(images: Tensor) -> Tensor:
        """Return the logits of all classes for images in [0, 1]."""
        logits: Tensor = model(to_normal(images))
        return logits

    def logits_of(batch: Batch, own: list[int], move: Move | None) -> np.ndarray:
        """Return the logits of the classes of a set, after an attack if there is one."""
        # Outside of inference mode, because attacks need gradients.
        with torch.inference_mode(False), torch.no_grad():
            images = unit_range(batch["image"].to(world.device, non_blocking=True))
            if move is not None:
                labels = torch.tensor(own)[batch["label"]].to(world.device)
                images = move(images, labels, batch["index"])
            with autocast(world, recipe.precision):
                logits = classify(images)
        found: np.ndarray = logits[:, own].float().cpu().numpy()
        return found

    path = task.work / "predictions-variants.parquet"
    with write_variants(path) if world.is_main else nullcontext() as predictions:
        for variant in _variants(task, sets, classify):
            own = _own_classes(variant.data, info)
            images = ImageDataset(
                variant.data.split(variant.split),
                variant.transform,
                seed=derived_seed(task.seed, variant.name),
                num_classes=len(own),
                cache_bytes=cache_bytes(recipe.runtime.cache_mb),
            )
            logits = run_inference(
                images,
                partial(logits_of, own=own, move=variant.move),
                batch=recipe.evaluate.batch,
                world=world,
                workers=recipe.runtime.workers,
            )
            if predictions is not None:
                predictions.add(variant.name, images.keys(), images.labels(), logits)
    if not world.is_main:
        return {}
    return robustness_metrics(path) | {"num_val": float(sets[0].counts[CLEAN])}


def _variants(
    task: Task[RobustnessRecipe],
    sets: Sequence[PreparedData],
    classifier: Callable[[Tensor], Tensor],
) -> Iterator[Variant]:
    recipe, clean, center = task.recipe, sets[0], _center(task.recipe.evaluate)
    yield Variant("clean", clean, CLEAN, center)
    for corruption in recipe.in_memory:
        for severity in SEVERITIES:
            corrupted = CorruptedImage(center, corruption, severity)
            yield Variant(f"in-memory/{corruption}-{severity}", clean, CLEAN, corrupted)
    if recipe.attack is not None:
        for name, move in _attacks(recipe.attack, classifier, task.seed, task.world).items():
            yield Variant(name, clean, CLEAN, center, move)
    for data in sets:
        name = data.folder.name  # its name in the study
        for split, count in data.counts.items():
            if count == 0 or split in LEARNED or (data is clean and split == CLEAN):
                continue
            if corruption_split(split):
                stored = _center(recipe.evaluate_corrupted)
                yield Variant(f"{name}/{split}", data, split, stored)
            else:
                yield Variant(name if split == CLEAN else f"{name}-{split}", data, split, center)


def _center(section: Evaluate) -> EvalTransform:
    return EvalTransform(resize=section.resize, crop=section.crop)


def _attacks(
    section: Attack, classifier: Callable[[Tensor], Tensor], seed: int, world: World
) -> dict[str, Move]:
    eps, step = section.eps * GRAY_LEVEL, section.pgd_step * GRAY_LEVEL

    def once(images: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        return fgsm(classifier, images, labels, eps)

    def climbed(images: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        start = None
        if section.random_start:
            # By index, so that neither batches nor processes change the random start.
            starts = [_uniform(images[0].shape, derived_seed(seed, "pgd", int(p))) for p in places]
            start = eps * torch.stack(starts).to(world.device)
        steps = section.pgd_steps
        return pgd(classifier, images, labels, eps=eps, step=step, steps=steps, start=start)

    return {"fgsm": once, "pgd": climbed}


def _uniform(shape: torch.Size, seed: int) -> Tensor:
    return 2.0 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 1.0


def _own_classes(data: PreparedData, known: ClassifierInfo) -> list[int]:
    """Find a set's classes among the classifier's: by WordNet id, by name, or by number.

    By WordNet id if the set has them, because names differ between sets. The folders of
    ImageNet-V2 are numbers, the classifier's class indices.

    Raises:
        InputError: the classifier lacks a class.
    """
    named = set(data.classes) <= set(known.classes)
    by_id = data.wnids is not None and (known.wnids is not None or not named)
    by_number = data.kind == NUMBERED and len(data.classes) == len(known.classes)
    if by_id or by_number:
        try:
            found = positions_among(data.wnids, known.wnids, num_classes=len(data.classes))
        except InputError as error:
            raise InputError(f"{data.folder}: {error}") from error
        return [int(place) for place in found]
    places = {name: place for place, name in enumerate(known.classes)}
    for name in data.classes:
        if name not in places:
            hint = nearest(name, known.classes) if len(known.classes) <= 20 else ""
            raise InputError(
                f"{data.folder}: unknown class '{name}', none of the classifier's "
                f"{len(known.classes)} classes{hint}; prepare this set with their names"
            )
    return [places[name] for name in data.classes]
