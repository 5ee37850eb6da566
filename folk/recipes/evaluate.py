"""Recipes of the stages that measure an encoder: `finetune`, `probe` and `segment`."""

from typing import Annotated, Literal

from pydantic import Field

from folk.recipes.base import (
    Count,
    Fraction,
    NotNegative,
    Optim,
    Positive,
    Precision,
    Recipe,
    Runtime,
    TrainingRuntime,
)
from folk.yaml_model import Section


class Augment(Section):
    """Training pictures of a classifier."""

    size: Count  # pixels
    min_scale: Fraction
    flip: Fraction
    rand_augment: str | None  # timm's notation
    color_jitter: NotNegative
    random_erasing: Fraction
    mixup: NotNegative
    cutmix: NotNegative
    smoothing: Fraction


class Evaluate(Section):
    """Validation pictures."""

    resize: Count  # shorter side, pixels
    crop: Count  # centre crop, pixels
    batch: Count


class FinetuneRecipe(Recipe):
    """The whole network is trained with labels."""

    augment: Augment
    evaluate: Evaluate
    drop_path: Fraction
    loss: Literal["ce", "bce"]
    optim: Optim
    runtime: TrainingRuntime
    evaluate_every: Count  # epochs


class Knn(Section):
    """Weighted nearest neighbours."""

    k: Count
    temperature: Positive


class Linear(Section):
    """A linear classifier on frozen features."""

    epochs: Count
    batch: Count
    lr: Positive
    lr_batch: Count
    momentum: Fraction
    weight_decay: NotNegative


class ProbeRecipe(Recipe):
    """Frozen features, measured by neighbours and by a line."""

    feature: Literal["cls", "mean", "cls-and-mean"]
    evaluate: Evaluate
    knn: Knn
    linear: Linear
    precision: Precision
    runtime: Runtime


class Decoder(Section):
    """UperNet on a four-level pyramid."""

    blocks: list[Annotated[int, Field(ge=0)]] = Field(min_length=4, max_length=4)
    channels: Count
    auxiliary_weight: NotNegative


class SegmentOptim(Section):
    """Optimiser and schedule of `segment`, which counts in updates."""

    optimizer: Literal["adamw"]
    updates: Count
    batch: Count
    lr: Positive  # at this batch; not scaled
    lr_warmup_start: NotNegative
    warmup_updates: Annotated[int, Field(ge=0)]
    power: Positive  # of the polynomial decay
    betas: list[Fraction] = Field(min_length=2, max_length=2)
    eps: Positive
    weight_decay: NotNegative
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)]
    clip_grad: Positive | None
    precision: Precision


class SegmentAugment(Section):
    """Training pictures with their annotation."""

    crop: Count  # pixels
    scale: list[Positive] = Field(min_length=2, max_length=2)  # of the shorter side over `crop`
    flip: Fraction
    jitter: NotNegative


class Window(Section):
    """Sliding-window test; whole pictures when `size` covers them."""

    size: Count  # pixels
    stride: Count  # pixels


class SegmentRecipe(Recipe):
    """Semantic segmentation transfer."""

    augment: SegmentAugment
    window: Window
    drop_path: Fraction
    decoder: Decoder
    optim: SegmentOptim
    runtime: TrainingRuntime
