"""Frozen features: how well neighbours and a line tell the classes apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from folk.data.dataset import PictureDataset
from folk.data.shards import PreparedData
from folk.data.transforms import eval_transform, unit_range
from folk.metrics.classification import top_k_accuracy, top_k_of_file, write_predictions
from folk.metrics.knn import knn_class_scores
from folk.metrics.kshot import draw_shots, kshot_metrics, logistic_scores
from folk.metrics.variants import write_variants
from folk.models.encoder import encode, load_encoder
from folk.recipes.evaluate import Kshot, Linear, ProbeRecipe
from folk.tasks.pictures import autocast, cache_bytes, keys_of, normalise, over_all
from folk.training.distributed import World
from folk.training.history import History
from folk.training.randomness import derived_seed, seed_all
from folk.training.schedules import cosine_rate

Live = Callable[[int, dict[str, float]], None]


def probe(
    recipe: ProbeRecipe,
    *,
    encoder: Path,
    dataset: Path,
    split: Path | None,
    work: Path,
    seed: int,
    identity: str,
    world: World,
    live: Live,
) -> dict[str, float]:
    """Extract features once; classify them by neighbours, by a line, and with a few labels.

    Args:
        recipe: how.
        encoder: folder of the stored encoder.
        dataset: folder of the prepared data set.
        split: which labelled pictures may be seen; None for all.
        work: where predictions-knn.parquet, predictions-linear.parquet and
            predictions-kshot.parquet are left; the last is empty where the recipe has no k-shot.
        seed: feeds every random number of the run.
        identity: not used; these minutes are not worth a checkpoint.
        world: this process among those of its job.
        live: told every line of the history.

    Returns:
        accuracies in [0, 1]: `knn_top1_k<k>`, `linear_top1_last`, `linear_top1_best`, and
        `kshot_top1_<k>`, the mean over splits.

    Source: DINO, arXiv:2104.14294, for both protocols. We differ in that the line is trained on
        the features of whole pictures, not of random crops.
    """
    del identity
    data = PreparedData.open(dataset)
    model, info = load_encoder(encoder)
    model = model.to(world.device).eval()
    transform = eval_transform(resize=recipe.evaluate.resize, crop=recipe.evaluate.crop)
    num_classes = len(data.classes)

    def pictures(name: str, keys: list[str] | None) -> PictureDataset:
        return PictureDataset(
            data.split(name),
            transform,
            num_classes=num_classes,
            keep_keys=keys,
            cache_bytes=cache_bytes(recipe.runtime.cache_mb),
        )

    def features(of: PictureDataset) -> np.ndarray:
        def of_batch(batch: dict[str, Any]) -> np.ndarray:
            images = unit_range(batch["image"].to(world.device))
            with autocast(world, recipe.precision):
                found = encode(model, normalise(images, info.mean, info.std))
            return _feature(found.pooled, recipe.feature).float().cpu().numpy()

        batch = recipe.evaluate.batch
        return over_all(of, of_batch, batch=batch, world=world, workers=recipe.runtime.workers)

    training, validation = pictures("train", keys_of(split)), pictures("val", None)
    seen, unseen = features(training), features(validation)
    if not world.is_main:
        return {}

    keys, labels = validation.keys(), validation.labels()
    metrics = {"num_train": float(len(training)), "num_val": float(len(validation))}
    history = History(work / "metrics.jsonl", 0)
    scores = knn_class_scores(
        seen, training.labels(), unseen, recipe.knn.k, recipe.knn.temperature, num_classes
    )
    path = work / "predictions-knn.parquet"
    write_predictions(path, keys, labels, scores)
    metrics[f"knn_top1_k{recipe.knn.k}"] = top_k_of_file(path, 1)
    path = work / "predictions-linear.parquet"
    logits = _linear(
        recipe.linear, seen, training.labels(), unseen, labels, num_classes, seed, history, live
    )
    write_predictions(path, keys, labels, logits)
    history.close()
    path = work / "predictions-kshot.parquet"
    metrics |= _kshot(
        recipe.kshot, path, seen, training.labels(), unseen, keys, labels, num_classes
    )
    path = work / "predictions-linear.parquet"
    return metrics | {
        "linear_top1_last": top_k_of_file(path, 1),
        "linear_top1_best": max(value for _, value in history.values("top1")),
    }


def _feature(pooled: Callable[[Any], Tensor], which: str) -> Tensor:
    if which == "cls-and-mean":
        return torch.cat([pooled("cls"), pooled("mean")], dim=-1)
    return pooled(which)


def _kshot(
    section: Kshot | None,
    path: Path,
    seen: np.ndarray,
    seen_labels: np.ndarray,
    unseen: np.ndarray,
    keys: list[str],
    unseen_labels: np.ndarray,
    num_classes: int,
) -> dict[str, float]:
    """Logistic regressions on a few labels, for every k and split; mean accuracy by k."""
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
                    centre=section.centre,
                    max_iterations=section.max_iterations,
                    tolerance=section.tolerance,
                )
                predictions.add(f"{k}/{split_seed}", keys, unseen_labels, scores)
    return kshot_metrics(path)


def _linear(
    section: Linear,
    seen: np.ndarray,
    seen_labels: np.ndarray,
    unseen: np.ndarray,
    unseen_labels: np.ndarray,
    num_classes: int,
    seed: int,
    history: History,
    live: Live,
) -> np.ndarray:
    """Train one linear layer with SGD; return its logits for the unseen features."""
    # Features of different encoders differ in scale; one rate must serve them all.
    mean, std = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    inputs, held_out = (torch.from_numpy((x - mean) / std) for x in (seen, unseen))
    targets = torch.from_numpy(seen_labels.astype(np.int64))
    seed_all(seed, "linear")
    line = nn.Linear(inputs.shape[1], num_classes)
    nn.init.normal_(line.weight, std=0.01)
    nn.init.zeros_(line.bias)
    batch = min(section.batch, len(inputs))
    per_epoch = -(-len(inputs) // batch)
    optimizer = torch.optim.SGD(
        line.parameters(),
        lr=section.lr * batch / section.lr_batch,
        momentum=section.momentum,
        weight_decay=section.weight_decay,
    )
    schedule = cosine_rate(
        optimizer,
        updates=section.epochs * per_epoch,
        warmup_updates=0,
        rate_min=0.0,
        rate_warmup_start=0.0,
        warmup_prefix=False,
    )
    for epoch in range(section.epochs):
        order = torch.Generator().manual_seed(derived_seed(seed, "linear order", epoch))
        shuffled = torch.randperm(len(inputs), generator=order).split(batch)
        for number, chosen in enumerate(shuffled):
            schedule.step_update(epoch * per_epoch + number)
            optimizer.zero_grad()
            loss = cross_entropy(line(inputs[chosen]), targets[chosen])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = line(held_out).numpy()
        ranked = np.argsort(-logits, axis=1, kind="stable")[:, :1].astype(np.int32)
        values = {"loss": float(loss.detach()), "top1": top_k_accuracy(unseen_labels, ranked)}
        history.add((epoch + 1) * per_epoch, epoch + 1.0, values)
        live((epoch + 1) * per_epoch, values)
    return logits  # type: ignore[no-any-return]
