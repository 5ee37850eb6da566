"""Recipes of the evaluation stages."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from folk.evidence.core.yaml_model import Section
from folk.stages.recipes.base import (
    Count,
    Fraction,
    InnerFraction,
    NotNegative,
    Optim,
    Positive,
    Precision,
    Recipe,
    Runtime,
    TrainingRuntime,
)


class Augment(Section):
    """Training images of a classifier."""

    size: Count  # pixels
    min_scale: Fraction
    flip: Fraction
    rand_augment: str | None  # timm's notation
    color_jitter: NotNegative
    random_erasing: Fraction
    mixup: NotNegative
    cutmix: NotNegative
    smoothing: Fraction
    repeats: Count  # copies of each image in an epoch; 1 is no repeated augmentation


class Evaluate(Section):
    """Validation images."""

    resize: Count  # shorter side, pixels
    crop: Count  # center crop, pixels
    batch: Count


class FinetuneRecipe(Recipe):
    """Full fine-tuning of the network with labels."""

    augment: Augment
    evaluate: Evaluate
    drop_path: Fraction
    loss: Literal["ce", "bce"]
    bce_threshold: InnerFraction | None  # targets above it count as 1, others as 0; null keeps them
    optim: Optim
    runtime: TrainingRuntime
    evaluate_every: Count  # epochs

    @model_validator(mode="after")
    def _threshold_belongs_to_bce(self) -> "FinetuneRecipe":
        if self.loss == "ce" and self.bce_threshold is not None:
            raise ValueError(
                f"bce_threshold {self.bce_threshold} needs loss: bce, got ce; set it to null"
            )
        return self


Feature = Literal["cls", "mean", "cls-and-mean", "last-4-cls"]


class Knn(Section):
    """Weighted nearest neighbors."""

    k: list[Count] = Field(min_length=1)  # a metric for each
    temperature: Positive

    @model_validator(mode="after")
    def _no_k_twice(self) -> "Knn":
        if len(set(self.k)) < len(self.k):
            raise ValueError(f"k {self.k}: duplicate value")
        return self


class Linear(Section):
    """A linear classifier on frozen features."""

    feature: Feature
    views: Literal["whole", "crops"]  # crops are drawn anew in each epoch, as DINO's
    min_scale: Fraction  # of crops, share of the area
    flip: Fraction  # of crops
    interpolation: Literal["bilinear", "bicubic"]  # of the resize of crops
    epochs: Count
    batch: Count
    lr: Positive
    lr_batch: Count
    momentum: Fraction
    weight_decay: NotNegative


class Kshot(Section):
    """Logistic regression on a few labeled images of each class."""

    shots: list[Count] = Field(min_length=1)  # images of each class
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)  # a split each, for every row
    weight_decay: Positive  # lambda, divided by the number of labeled images as MSN does
    center: Literal["feature", "image"]  # the mean that is subtracted
    max_iterations: Count
    tolerance: Positive

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Kshot":
        for key in ("shots", "seeds"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key} {values}: duplicate value")
        return self


class ProbeRecipe(Recipe):
    """k-NN, linear and few-shot probing of frozen features."""

    feature: Feature  # for k-NN and few labels
    evaluate: Evaluate
    knn: Knn
    linear: Linear
    kshot: Kshot | None
    precision: Precision
    runtime: Runtime


class Decoder(Section):
    """UperNet on a four-level pyramid."""

    blocks: list[Annotated[int, Field(ge=0)]] = Field(min_length=4, max_length=4)
    channels: Count
    dropout: Fraction  # of channels before a classifier
    auxiliary_weight: NotNegative  # 0 for no auxiliary head
    auxiliary_channels: Count


class SegmentOptim(Section):
    """Optimizer and schedule of `segment`, which counts in updates."""

    optimizer: Literal["adamw"]
    updates: Count
    batch: Count
    lr: Positive  # at this batch; not scaled
    lr_warmup_start: NotNegative  # of the head; of other layers in proportion to their rate
    warmup_updates: Annotated[int, Field(ge=0)]
    power: Positive  # of the polynomial decay
    betas: list[Fraction] = Field(min_length=2, max_length=2)
    eps: Positive
    weight_decay: NotNegative
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)]
    clip_grad: Positive | None
    precision: Precision


class SegmentAugment(Section):
    """Training images with their annotation."""

    crop: Count  # pixels
    scale: list[Positive] = Field(min_length=2, max_length=2)  # of the shorter side over `crop`
    max_class_share: InnerFraction | None  # of one class in a crop, else another is drawn
    flip: Fraction
    jitter: NotNegative
    photometric: bool  # MMSegmentation's distortion of colors


class Window(Section):
    """Sliding-window test; whole images when `size` covers them."""

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

    @model_validator(mode="after")
    def _one_size_of_images(self) -> "SegmentRecipe":
        if self.window.size != self.augment.crop:
            raise ValueError(
                f"window.size {self.window.size} must equal augment.crop {self.augment.crop}, "
                "because a ViT's position embedding fits one size"
            )
        if self.window.stride > self.window.size:
            raise ValueError(
                f"window.stride {self.window.stride} leaves gaps between windows; "
                f"give at most window.size {self.window.size}"
            )
        return self


class Attack(Section):
    """FGSM and PGD; sizes in gray levels, of which there are 255 between black and white."""

    eps: Positive  # largest change of a pixel
    pgd_step: Positive
    pgd_steps: Count
    random_start: bool  # of PGD


class RobustnessRecipe(Recipe):
    """Robustness of a fine-tuned classifier to other sets, corruptions and attacks."""

    evaluate: Evaluate  # natural images
    evaluate_corrupted: Evaluate  # stored splits such as fog-3
    in_memory: list[str]  # corruptions made of the clean images; for demos only
    attack: Attack | None
    precision: Precision  # of forward passes; attacks run in fp32
    runtime: Runtime


class CostStep(Section):
    """Measurement of a pre-training step."""

    batch: Count  # images of one update
    warmup: Count  # updates before the clock starts
    updates: Count  # that are timed


class CostRecipe(Recipe):
    """Cost of a method: parameters, FLOPs, memory and time."""

    step: CostStep | None  # null measures the encoder alone
