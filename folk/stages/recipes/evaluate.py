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

    size: Count
    """Side of an image, pixels."""
    min_scale: Fraction
    """Smallest share of the area of a crop."""
    flip: Fraction
    """Probability of mirroring."""
    rand_augment: str | None
    """RandAugment in timm's notation; null for none."""
    color_jitter: NotNegative
    """Strength of the color jitter; 0 for none."""
    random_erasing: Fraction
    """Probability of an erased rectangle."""
    mixup: NotNegative
    """Alpha of mixup; 0 for none."""
    cutmix: NotNegative
    """Alpha of CutMix; 0 for none."""
    smoothing: Fraction
    """Label smoothing."""
    repeats: Count
    """Repeated augmentation: copies of each image in an epoch. The epoch stays as long, so it shows
    fewer images; 1 is off.
    """


class Evaluate(Section):
    """Validation images."""

    resize: Count
    """Shorter side, pixels; bicubic."""
    crop: Count
    """Side of the center crop, pixels."""
    batch: Count
    """Images at once."""


class FinetuneRecipe(Recipe):
    """Full fine-tuning of the network with labels."""

    augment: Augment
    evaluate: Evaluate
    drop_path: Fraction
    """Stochastic depth of the last block, 0 for none, whatever timm's default is."""
    loss: Literal["ce", "bce"]
    """Cross-entropy, or binary cross-entropy of each class."""
    bce_threshold: InnerFraction | None
    """Of `bce`: the share of a class in a mixed image above which its target is 1, else 0. Null
    keeps the shares; null with `ce`.
    """
    optim: Optim
    runtime: TrainingRuntime
    evaluate_every: Count
    """Epochs between two evaluations on the validation images."""

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

    k: list[Count] = Field(min_length=1)
    """Numbers of neighbors; a metric `knn_top1_k<k>` each."""
    temperature: Positive
    """Of the neighbors' votes."""

    @model_validator(mode="after")
    def _no_k_twice(self) -> "Knn":
        if len(set(self.k)) < len(self.k):
            raise ValueError(f"k {self.k}: duplicate value")
        return self


class Linear(Section):
    """A linear classifier on frozen features."""

    feature: Feature
    """As in the probe's `feature`."""
    views: Literal["whole", "crops"]
    """`whole` trains on features made once, centered and scaled; `crops`, as DINO, on new crops in
    each epoch.
    """
    min_scale: Fraction
    """Of crops: smallest share of the area."""
    flip: Fraction
    """Of crops: probability of mirroring."""
    interpolation: Literal["bilinear", "bicubic"]
    """Of crops: the resize."""
    epochs: Count
    """Length of the training."""
    batch: Count
    """Images of one update."""
    lr: Positive
    """Rate for `lr_batch` images, scaled by `batch / lr_batch`."""
    lr_batch: Count
    """Images that `lr` is for."""
    momentum: Fraction
    """Of SGD."""
    weight_decay: NotNegative
    """Of SGD."""


class Kshot(Section):
    """Logistic regression on a few labeled images of each class."""

    shots: list[Count] = Field(min_length=1)
    """Images of each class, the same images for every row; a metric `kshot_top1_<k>` each."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    """A draw of the labeled images each; the metric is their mean."""
    weight_decay: Positive
    """Lambda. As in MSN, lambda / N multiplies half the squared norm, N being the number of labeled
    images. iBOT's lambda is not divided, so multiply it by N.
    """
    center: Literal["feature", "image"]
    """`image` subtracts from each image's feature its own mean, then normalizes, as MSN does;
    `feature` normalizes, then subtracts the mean vector.
    """
    max_iterations: Count
    """Of the solver."""
    tolerance: Positive
    """Of the solver."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Kshot":
        for key in ("shots", "seeds"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"{key} {values}: duplicate value")
        return self


class ProbeRecipe(Recipe):
    """k-NN, linear and few-shot probing of frozen features."""

    feature: Feature
    """For k-NN and few labels: the class token (the mean where there is none), the mean of the
    patch tokens, both, or the class tokens of a ViT's last four blocks.
    """
    evaluate: Evaluate
    knn: Knn
    linear: Linear
    kshot: Kshot | None
    precision: Precision
    """Of forward passes."""
    runtime: Runtime


class Decoder(Section):
    """UperNet on a four-level pyramid."""

    blocks: list[Annotated[int, Field(ge=0)]] = Field(min_length=4, max_length=4)
    """Blocks of a ViT that make the four levels."""
    channels: Count
    """Width."""
    dropout: Fraction
    """Of whole channels, before the classifier of each head."""
    auxiliary_weight: NotNegative
    """Weight of the auxiliary head's loss; 0 for no such head."""
    auxiliary_channels: Count
    """Width of the auxiliary head."""


class SegmentOptim(Section):
    """Optimizer and schedule of `segment`, which counts in updates."""

    optimizer: Literal["adamw"]
    """AdamW."""
    updates: Count
    """Length of the training."""
    batch: Count
    """Images of one update (the effective batch), whatever the number of processes."""
    lr: Positive
    """Peak rate; not scaled."""
    lr_warmup_start: NotNegative
    """Rate of the head at the start of the warm-up; a layer starts at its share of it, as in mmcv.
    """
    warmup_updates: Annotated[int, Field(ge=0)]
    """Updates of linear warm-up."""
    power: Positive
    """Of the polynomial decay."""
    betas: list[Fraction] = Field(min_length=2, max_length=2)
    """Of AdamW."""
    eps: Positive
    """Of AdamW."""
    weight_decay: NotNegative
    """Biases, norms, position embeddings and class tokens have none."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)]
    """Factor of the rate for each layer below the head."""
    clip_grad: Positive | None
    """Largest norm of the gradient; null for none."""
    precision: Precision
    """Of forward and backward passes."""


class SegmentAugment(Section):
    """Training images with their annotation."""

    crop: Count
    """Side of a crop, pixels."""
    scale: list[Positive] = Field(min_length=2, max_length=2)
    """Smallest and largest shorter side over `crop`."""
    max_class_share: InnerFraction | None
    """A crop is drawn again, up to 10 times, if one class has this share or more of its annotated
    pixels; null takes the first.
    """
    flip: Fraction
    """Probability of mirroring."""
    jitter: NotNegative
    """Strength of the color jitter; 0 for none."""
    photometric: bool
    """MMSegmentation's distortion of colors."""


class Window(Section):
    """Sliding-window test; whole images when `size` covers them."""

    size: Count
    """Pixels. Also the shorter side of a test image, and the same as `augment.crop`: a ViT's
    position embedding is interpolated to it.
    """
    stride: Count
    """Pixels between two windows."""


class SegmentRecipe(Recipe):
    """Semantic segmentation transfer."""

    augment: SegmentAugment
    window: Window
    drop_path: Fraction
    """Stochastic depth of the last block; 0 for none."""
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

    eps: Positive
    """Largest change of a pixel."""
    pgd_step: Positive
    """Change of a pixel in one step of PGD."""
    pgd_steps: Count
    """Steps of PGD."""
    random_start: bool
    """True if PGD starts at a random place within `eps`."""


class RobustnessRecipe(Recipe):
    """Robustness of a fine-tuned classifier to other sets, corruptions and attacks."""

    evaluate: Evaluate
    """Natural images."""
    evaluate_corrupted: Evaluate
    """Stored corruptions: splits with names like `fog-3`. ImageNet-C's images are cropped, not
    resized.
    """
    in_memory: list[str]
    """Corruptions made of the clean images, for demos only: an error at the papers' scale, because
    ImageNet-C is read from its own JPEG files.
    """
    attack: Attack | None
    precision: Precision
    """Of forward passes; attacks run in fp32."""
    runtime: Runtime


class CostStep(Section):
    """Measurement of a pre-training step."""

    batch: Count
    """Images of one update."""
    warmup: Count
    """Updates before the clock starts."""
    updates: Count
    """Timed updates."""


class CostRecipe(Recipe):
    """Cost of a method: parameters, FLOPs, memory and time."""

    step: CostStep | None
    """Null measures the encoder alone."""
