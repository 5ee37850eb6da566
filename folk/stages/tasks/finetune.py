"""Full fine-tuning of a classifier, with all labels or a few."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from timm.data.mixup import Mixup, mixup_target
from timm.loss import BinaryCrossEntropy, SoftTargetCrossEntropy
from torch import Tensor, nn

from folk.data.augment import RandAugment
from folk.data.dataset import ImageDataset
from folk.data.shards import PreparedData
from folk.data.transforms import EvalTransform, FinetuneTransform, unit_range
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.classification import (
    ranked,
    top_k_accuracy,
    top_k_of_file,
    write_predictions,
)
from folk.models.classifier import classifier_of, create_classifier, save_classifier
from folk.models.encoder import check_size, create_encoder, read_encoder_info, try_images
from folk.stages.finetune import Augment, FinetuneRecipe
from folk.stages.images import (
    autocast,
    cache_bytes,
    evaluation_batches,
    infer,
    keys_of,
    normalize,
    whole_batches,
)
from folk.stages.loop import Batch, supervised_update, train_on
from folk.stages.optimization import check_batch_norm_batch, optimizer_and_schedule
from folk.stages.recipes.base import Encoder
from folk.stages.task import Task
from folk.training.distributed import World
from folk.training.history import History
from folk.training.optimizer import layer_decay_groups
from folk.training.randomness import derived_seed, seed_all

Normalize = Callable[[Tensor], Tensor]


def finetune(task: Task[FinetuneRecipe]) -> dict[str, float]:
    """Train a classifier from an encoder; store it and its predictions on the validation images.

    Returns:
        last-epoch and best-epoch accuracy, in [0, 1], and counts. Predictions and classifier are
        the last epoch's; the best epoch is chosen on the validation images, so it is optimistic.

    Raises:
        InputError: a batch size per process that batch norm or mixup cannot use.
    """
    recipe, world, encoder = task.recipe, task.world, task.folder("encoder")
    data, info = PreparedData.open(task.folder("dataset")), read_encoder_info(encoder)
    num_classes = len(data.classes)
    training, validation = _images(task, data)
    optim = recipe.optim
    updates_per_epoch = whole_batches(len(training), optim.batch, "labeled images")
    updates = updates_per_epoch * optim.epochs

    seed_all(task.seed, "classifier")
    model = world.place(create_classifier(encoder, num_classes, recipe.drop_path))
    check_size(model, recipe.augment.size, "augment.size")
    check_size(model, recipe.evaluate.crop, "evaluate.crop")
    check_batch_norm_batch(model, optim.batch, recipe.runtime.max_batch, world)
    groups = layer_decay_groups(model, optim.weight_decay, optim.layer_decay)
    optimizer, schedule = optimizer_and_schedule(optim, groups, updates_per_epoch)
    to_normal = partial(normalize, mean=info.mean, std=info.std)
    mix = _mixer(recipe.augment, num_classes, optim.batch // world.size)
    loss = _loss(recipe.loss, recipe.bce_threshold)
    update = supervised_update(
        task,
        model,
        optimizer,
        schedule,
        to_normal=to_normal,
        targets_of=lambda images, batch: mix(
            images, batch["label"].to(world.device, non_blocking=True)
        ),
        loss_of=lambda logits, targets: loss(logits.float(), targets),
    )

    # Made once, so that its loading processes outlive an epoch.
    shown = evaluation_batches(
        validation, batch=recipe.evaluate.batch, world=world, workers=recipe.runtime.workers
    )

    def logits_of_all() -> np.ndarray:
        model.eval()
        world.share_buffers(model)
        logits = infer(
            shown, lambda batch: _logits(model, to_normal, batch, world, optim.precision), world
        )
        model.train()
        return logits

    def after_epoch(epoch: int) -> dict[str, float]:
        if epoch % recipe.evaluate_every and epoch != optim.epochs:
            return {}
        return {"top1": top_k_accuracy(validation.labels(), ranked(logits_of_all(), 1))}

    model.train()
    history = train_on(
        task,
        training,
        update,
        after_epoch,
        parts={"model": model, "optimizer": optimizer},
        updates=updates,
        updates_per_epoch=updates_per_epoch,
        repeats=recipe.augment.repeats,
    )
    predictions = task.work / "predictions.parquet"
    logits = logits_of_all()
    if world.is_main:
        write_predictions(predictions, validation.keys(), validation.labels(), logits)
        wnids = None if data.wnids is None else list(data.wnids)
        save_classifier(task.work, model, info, list(data.classes), recipe.augment.size, wnids)
    world.wait()
    return _final(history, predictions) | {
        "num_train": float(len(training)),
        "num_val": float(len(validation)),
        "epochs": float(optim.epochs),
        "updates": float(updates),
    }


def check_fit(recipe: FinetuneRecipe, encoder: Encoder) -> None:
    """Check that a classifier of the encoder takes the images.

    Raises:
        InputError: it does not, or has no stochastic depth; RandAugment's notation is invalid.
    """
    name, args = encoder.timm_name, encoder.timm_args
    where = Path("encoder.timm_name")
    augment = recipe.augment
    if augment.rand_augment is not None:
        RandAugment(augment.rand_augment, augment.size)
    model = classifier_of(create_encoder(name, args), name, args, 2, recipe.drop_path, 1.0, where)
    try_images(model, augment.size, "augment.size")
    try_images(model, recipe.evaluate.crop, "evaluate.crop")


def _images(task: Task[FinetuneRecipe], data: PreparedData) -> tuple[ImageDataset, ImageDataset]:
    recipe, augment = task.recipe, task.recipe.augment
    cache = cache_bytes(recipe.runtime.cache_mb)
    training = ImageDataset(
        data.split("train"),
        FinetuneTransform(
            size=augment.size,
            min_scale=augment.min_scale,
            flip=augment.flip,
            rand_augment=augment.rand_augment,
            color_jitter=augment.color_jitter,
            random_erasing=augment.random_erasing,
        ),
        seed=derived_seed(task.seed, "augmentation"),
        num_classes=len(data.classes),
        keep_keys=keys_of(task.file_or_none("split")),
        cache_bytes=cache,
    )
    validation = ImageDataset(
        data.split("val"),
        EvalTransform(resize=recipe.evaluate.resize, crop=recipe.evaluate.crop),
        num_classes=len(data.classes),
        cache_bytes=cache,
    )
    return training, validation


def _mixer(
    augment: Augment, num_classes: int, share: int
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Make a function from images and labels to (mixed) images and class probabilities."""
    if augment.mixup or augment.cutmix:
        if share % 2:
            raise InputError(
                f"optim.batch: expected an even number of images per process for augment.mixup and "
                f"augment.cutmix, got {share}; change the batch, or set both to 0"
            )
        mixup: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = Mixup(
            mixup_alpha=augment.mixup,
            cutmix_alpha=augment.cutmix,
            label_smoothing=augment.smoothing,
            num_classes=num_classes,
        )
        return mixup
    return lambda images, labels: (
        images,
        mixup_target(labels, num_classes, smoothing=augment.smoothing),
    )


def _loss(name: str, bce_threshold: float | None) -> nn.Module:
    """Make the loss: cross-entropy or binary cross-entropy, over class probabilities.

    Args:
        name: "ce" or "bce".
        bce_threshold: of "bce": targets above it count as 1, others as 0; None keeps them.

    Source: "ResNet strikes back", arXiv:2110.00476, for the latter, in timm's form: the mean over
        images and classes.
    """
    if name == "ce":
        return SoftTargetCrossEntropy()
    return BinaryCrossEntropy(smoothing=0.0, target_threshold=bce_threshold)


def _logits(
    model: nn.Module, to_normal: Normalize, batch: Batch, world: World, precision: str
) -> np.ndarray:
    images = to_normal(unit_range(batch["image"].to(world.device, non_blocking=True)))
    with autocast(world, precision):
        logits = model(images)
    return logits.float().cpu().numpy()  # type: ignore[no-any-return]


def _final(history: History, predictions: Path) -> dict[str, float]:
    measured = history.values("top1")
    if not measured:
        return {}  # only the main process keeps a history
    best_epoch, best = max(measured, key=lambda pair: (pair[1], -pair[0]))
    return {
        # From the file, so that the metric and the predictions cannot differ.
        "top1_last": top_k_of_file(predictions, 1),
        "top5_last": top_k_of_file(predictions, 5),
        "top1_best": best,
        "best_epoch": best_epoch,
        "loss_last": history.values("loss")[-1][1],
    }
