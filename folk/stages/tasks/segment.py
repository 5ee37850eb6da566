"""Semantic segmentation transfer with a UperNet decoder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from folk.data.dataset import ImageDataset
from folk.data.joint import SegmentEvalTransform, SegmentTransform
from folk.data.shards import PreparedData
from folk.data.transforms import unit_range
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.segmentation import (
    IGNORE,
    confusion_of_image,
    scores_of_file,
    write_confusions,
)
from folk.models.encoder import create_encoder, try_images
from folk.models.resize import load_resized, resized
from folk.models.segmenter import Segmenter
from folk.stages.images import (
    autocast,
    cache_bytes,
    keys_of,
    normalize,
    run_inference,
    whole_batches,
)
from folk.stages.loop import Batch, supervised_update, train_on
from folk.stages.optimization import check_batch_norm_batch
from folk.stages.recipes.base import Encoder
from folk.stages.segment import SegmentRecipe
from folk.stages.task import Task
from folk.stages.windows import sliding_logits
from folk.training.distributed import World
from folk.training.optimizer import (
    create_optimizer,
    layer_decay_groups,
    weight_decay_groups,
)
from folk.training.randomness import derived_seed, seed_all
from folk.training.schedules import PolynomialRate


def segment(task: Task[SegmentRecipe]) -> dict[str, float]:
    """Train a segmenter from an encoder; store a confusion matrix for each validation image.

    Several processes on GPUs share the statistics of batch norm, as BEiT's do; on CPUs, where torch
    cannot, each process has its own.

    Returns:
        miou, macc and aacc in [0, 1], of the last update.

    Raises:
        InputError: the data set has no annotations, the batch size per process is too small for
            batch norm, or the segmenter's scores are not finite.
    """
    recipe, world, dataset = task.recipe, task.world, task.folder("dataset")
    data = PreparedData.open(dataset)
    if data.segmentation_classes is None:
        raise InputError(f"{dataset}: data set '{data.name}' has no annotations; choose another")
    num_classes = len(data.segmentation_classes)
    training, validation = _images(task, data, num_classes)
    optim = recipe.optim
    updates_per_epoch = whole_batches(len(training), optim.batch, "annotated images")

    seed_all(task.seed, "segmenter")
    trunk, info = load_resized(task.folder("encoder"), recipe.window.size, recipe.drop_path)
    model = _segmenter(recipe, trunk, num_classes)
    to_normal = partial(normalize, mean=info.mean, std=info.std)
    world.place(model).train()
    if world.can_synchronize_batch_norm:
        convert_sync_batchnorm(model)  # in place: layers change, parameters stay the same objects
    else:
        check_batch_norm_batch(model, optim.batch, recipe.runtime.max_batch, world)
    others = [module for module in model.children() if module is not model.encoder]
    optimizer = create_optimizer(
        optim.optimizer,
        layer_decay_groups(model.encoder, optim.weight_decay, optim.layer_decay)
        + weight_decay_groups(others, optim.weight_decay),
        lr=optim.lr,
        betas=optim.betas,
        eps=optim.eps,
    )
    schedule = PolynomialRate(
        optimizer,
        updates=optim.updates,
        warmup_updates=optim.warmup_updates,
        warmup_ratio=optim.lr_warmup_start / optim.lr,
        power=optim.power,
    )

    def loss_of(found: tuple[Tensor, Tensor | None], targets: Tensor) -> Tensor:
        logits, auxiliary = found
        loss = pixel_loss(logits, targets)
        if auxiliary is not None:
            loss = loss + recipe.decoder.auxiliary_weight * pixel_loss(auxiliary, targets)
        return loss

    update = supervised_update(
        task,
        model,
        optimizer,
        schedule,
        to_normal=to_normal,
        targets_of=lambda images, batch: (
            images,
            batch["annotation"].to(world.device, non_blocking=True).long(),
        ),
        loss_of=loss_of,
    )
    history = train_on(
        task,
        training,
        update,
        parts={"model": model, "optimizer": optimizer},
        updates=optim.updates,
        updates_per_epoch=updates_per_epoch,
    )
    model.eval()
    world.share_buffers(model)
    confusions = run_inference(
        validation,
        lambda batch: _confusions(recipe, model, to_normal, batch, num_classes, world),
        # Images of different sizes go one by one on each process.
        batch=world.size if data.image_size is None else optim.batch,
        world=world,
        workers=recipe.runtime.workers,
    )
    metrics = {"num_train": float(len(training)), "num_val": float(len(validation))}
    if world.is_main:
        path = task.work / "predictions.parquet"
        write_confusions(path, validation.keys(), confusions)
        scores = scores_of_file(path)
        metrics |= {"miou": scores.miou, "macc": scores.macc, "aacc": scores.aacc}
        metrics["loss_last"] = history.values("loss")[-1][1]
    return metrics


def _images(
    task: Task[SegmentRecipe], data: PreparedData, num_classes: int
) -> tuple[ImageDataset, ImageDataset]:
    recipe, augment = task.recipe, task.recipe.augment
    cache = cache_bytes(recipe.runtime.cache_mb)
    training = ImageDataset(
        data.split("train"),
        SegmentTransform(
            crop=augment.crop,
            scale=(augment.scale[0], augment.scale[1]),
            flip=augment.flip,
            jitter=augment.jitter,
            photometric=augment.photometric,
            max_class_share=augment.max_class_share,
        ),
        seed=derived_seed(task.seed, "augmentation"),
        num_segmentation_classes=num_classes,
        keep_keys=keys_of(task.file_or_none("split")),
        cache_bytes=cache,
    )
    validation = ImageDataset(
        data.split("val"),
        SegmentEvalTransform(size=recipe.window.size),
        num_segmentation_classes=num_classes,
        cache_bytes=cache,
    )
    return training, validation


def check_fit(recipe: SegmentRecipe, encoder: Encoder) -> None:
    """Check that a segmenter of the encoder takes the images.

    Raises:
        InputError: it does not, or the encoder has no such levels.
    """
    name, args = encoder.timm_name, encoder.timm_args
    state, size = create_encoder(name, args).state_dict(), recipe.window.size
    trunk = resized(name, args, state, size, recipe.drop_path, Path("window.size"))
    model = _segmenter(recipe, trunk, num_classes=2)
    try_images(trunk, size, "window.size", model.eval())


def _segmenter(recipe: SegmentRecipe, encoder: nn.Module, num_classes: int) -> Segmenter:
    decoder = recipe.decoder
    return Segmenter(
        encoder,
        num_classes,
        blocks=decoder.blocks,
        channels=decoder.channels,
        dropout=decoder.dropout,
        auxiliary_channels=decoder.auxiliary_channels if decoder.auxiliary_weight > 0.0 else None,
    )


def pixel_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over all pixels; those without annotation count as 0, however a batch is divided.

    Source: open-mmlab/mmsegmentation@021e797 mmseg/models/losses/cross_entropy_loss.py, as BEiT
        uses it (`avg_non_ignore=False`).
    """
    total = cross_entropy(logits.float(), targets, ignore_index=IGNORE, reduction="sum")
    return total / targets.numel()


def _confusions(
    recipe: SegmentRecipe,
    model: Segmenter,
    to_normal: Callable[[Tensor], Tensor],
    batch: Batch,
    num_classes: int,
    world: World,
) -> np.ndarray:
    images = to_normal(unit_range(batch["image"].to(world.device, non_blocking=True)))
    with autocast(world, recipe.optim.precision):
        logits = sliding_logits(
            lambda part: model(part)[0], images, recipe.window.size, recipe.window.stride
        )
    truth = batch["annotation"].numpy()
    if logits.shape[-2:] != truth.shape[-2:]:  # images were resized, annotations never are
        logits = interpolate(logits, size=truth.shape[-2:], mode="bilinear", align_corners=False)
    if not torch.isfinite(logits).all():
        raise InputError(
            f"segment: non-finite scores of validation images {batch['index'].tolist()}; "
            "lower optim.lr and train again"
        )
    predicted = logits.argmax(dim=1).cpu().numpy()
    return np.stack(
        [confusion_of_image(t, p, num_classes) for t, p in zip(truth, predicted, strict=True)]
    )
