"""k-NN, linear and few-shot probing of frozen features."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from folk.data.dataset import ImageDataset
from folk.data.shards import PreparedData
from folk.data.transforms import EvalTransform, FinetuneTransform, Transform, unit_range
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.classification import top_k_of_file, write_predictions
from folk.evidence.results.metrics.knn import knn_metrics, knn_votes
from folk.evidence.results.metrics.kshot import draw_shots, kshot_metrics, logistic_scores
from folk.evidence.results.metrics.variants import write_variants
from folk.models.encoder import check_size, create_encoder, load_encoder, try_images
from folk.models.frozen import Feature, frozen_feature
from folk.stages.images import autocast, cache_bytes, keys_of, normalize, run_inference
from folk.stages.linear import linear_probe_on_crops, linear_probe_on_features
from folk.stages.neighbors import nearest
from folk.stages.probe import ProbeRecipe
from folk.stages.recipes.base import Encoder
from folk.stages.task import Task
from folk.training.randomness import derived_seed


def probe(task: Task[ProbeRecipe]) -> dict[str, float]:
    """Extract features; classify them by k-NN, by a linear probe, and with a few labels.

    Each leaves its predictions; those with a few labels are empty if the recipe has no k-shot.

    Returns:
        accuracies in [0, 1]: `knn_top1_k<k>`, `linear_top1_last`, `linear_top1_best`, and
        `kshot_top1_<k>`, the mean over splits.

    Source: DINO, arXiv:2104.14294, for both protocols; a linear probe on `whole` images is not
        DINO's.

    Raises:
        InputError: a feature that the encoder does not have, or too few images.
    """
    recipe, world, keys = task.recipe, task.world, keys_of(task.file_or_none("split"))
    data = PreparedData.open(task.folder("dataset"))
    model, info = load_encoder(task.folder("encoder"))
    check_size(model, recipe.evaluate.crop, "evaluate.crop")
    model = world.place(model).eval()
    transform = EvalTransform(resize=recipe.evaluate.resize, crop=recipe.evaluate.crop)
    num_classes = len(data.classes)
    linear = recipe.linear

    def images(name: str, keys: list[str] | None, how: Transform = transform) -> ImageDataset:
        return ImageDataset(
            data.split(name),
            how,
            seed=derived_seed(task.seed, "augmentation"),
            num_classes=num_classes,
            keep_keys=keys,
            cache_bytes=cache_bytes(recipe.runtime.cache_mb),
        )

    def feature_of(batch: dict[str, Any], which: Feature) -> Tensor:
        images = unit_range(batch["image"].to(world.device, non_blocking=True))
        with torch.no_grad(), autocast(world, recipe.precision):
            found = frozen_feature(model, normalize(images, info.mean, info.std), which)
        return found.float()

    def features(of: ImageDataset, which: Feature) -> np.ndarray:
        return run_inference(
            of,
            lambda batch: feature_of(batch, which).cpu().numpy(),
            batch=recipe.evaluate.batch,
            world=world,
            workers=recipe.runtime.workers,
        )

    training, validation = images("train", keys), images("val", None)
    seen, unseen = features(training, recipe.feature), features(validation, recipe.feature)
    alike = linear.feature == recipe.feature
    line_unseen = unseen if alike else features(validation, linear.feature)
    labels = validation.labels()
    if linear.views == "crops":
        crops = FinetuneTransform(
            size=recipe.evaluate.crop,
            min_scale=linear.min_scale,
            flip=linear.flip,
            interpolation=linear.interpolation,
        )
        logits, history = linear_probe_on_crops(
            task,
            images("train", keys, crops),
            lambda batch: feature_of(batch, linear.feature),
            line_unseen,
            labels,
            num_classes=num_classes,
        )
    else:
        line_seen = seen if alike else features(training, linear.feature)
    if not world.is_main:
        return {}

    if linear.views == "whole":
        logits, history = linear_probe_on_features(
            task, line_seen, training.labels(), line_unseen, labels, num_classes=num_classes
        )
    path = task.work / "predictions-linear.parquet"
    write_predictions(path, validation.keys(), labels, logits)
    return {
        "num_train": float(len(training)),
        "num_val": float(len(validation)),
        **_knn(task, seen, training.labels(), unseen, validation, num_classes),
        **_kshot(task, seen, training.labels(), unseen, validation, num_classes),
        "linear_top1_last": top_k_of_file(path, 1),
        "linear_top1_best": max(value for _, value in history.values("top1")),
    }


def check_fit(recipe: ProbeRecipe, encoder: Encoder) -> None:
    """Check that the encoder takes the images and has the features."""
    model, size = create_encoder(encoder.timm_name, encoder.timm_args), recipe.evaluate.crop
    for key, which in (("feature", recipe.feature), ("linear.feature", recipe.linear.feature)):

        def pooled(images: Tensor, which: Feature = which) -> Tensor:
            return frozen_feature(model, images, which)

        try:
            try_images(model, size, "evaluate.crop", pooled)
        except InputError as error:
            raise InputError(str(error).replace("feature:", f"{key}:", 1)) from error


def _knn(
    task: Task[ProbeRecipe],
    seen: np.ndarray,
    seen_labels: np.ndarray,
    unseen: np.ndarray,
    validation: ImageDataset,
    num_classes: int,
) -> dict[str, float]:
    """Write the k-NN scores of every k to one file, with k as the variant's name."""
    section, path = task.recipe.knn, task.work / "predictions-knn.parquet"
    similarity, places = nearest(unseen, seen, max(section.k), task.world.device)
    voters = seen_labels[places]
    with write_variants(path) as predictions:
        for k in section.k:
            scores = knn_votes(similarity[:, :k], voters[:, :k], section.temperature, num_classes)
            predictions.add(str(k), validation.keys(), validation.labels(), scores)
    return knn_metrics(path)


def _kshot(
    task: Task[ProbeRecipe],
    seen: np.ndarray,
    seen_labels: np.ndarray,
    unseen: np.ndarray,
    validation: ImageDataset,
    num_classes: int,
) -> dict[str, float]:
    """Fit logistic regressions on a few labels for every k and split; return mean accuracy by k."""
    section, path = task.recipe.kshot, task.work / "predictions-kshot.parquet"
    with write_variants(path) as predictions:
        for split_seed in section.seeds if section else []:
            assert section is not None
            for k, chosen in draw_shots(seen_labels, section.shots, split_seed).items():
                scores = logistic_scores(
                    seen[chosen],
                    seen_labels[chosen],
                    unseen,
                    num_classes=num_classes,
                    weight_decay=section.weight_decay,
                    center=section.center,
                    max_iterations=section.max_iterations,
                    tolerance=section.tolerance,
                )
                name = f"{k}/{split_seed}"
                predictions.add(name, validation.keys(), validation.labels(), scores)
    return kshot_metrics(path)
