"""Segmentation transfer: an encoder and annotated images -> UperNet's confusion matrices."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import DATASET, ENCODER, SPLIT
from folk.evidence.study.stage import Metric, Stage
from folk.stages.recipes.base import (
    SMOKE_BATCH,
    SMOKE_LOGGED,
    SMOKE_UPDATES,
    Count,
    Encoder,
    Fraction,
    InnerFraction,
    NotNegative,
    Positive,
    Precision,
    Recipe,
    TrainingRuntime,
)
from folk.stages.task import Task


class Decoder(Section):
    """UperNet on a four-level pyramid."""

    blocks: list[Annotated[int, Field(ge=0)]] = Field(min_length=4, max_length=4)
    """Blocks of a ViT that make the four levels."""
    channels: Count
    """Width."""
    dropout: Fraction
    """Dropout of whole channels before the classifier of each head."""
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
    """Power of the polynomial decay."""
    betas: list[Fraction] = Field(min_length=2, max_length=2)
    """Betas of AdamW."""
    eps: Positive
    """Epsilon of AdamW."""
    weight_decay: NotNegative
    """Biases, norms, position embeddings and class tokens have none."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)]
    """Factor of the rate for each layer below the head."""
    clip_grad: Positive | None
    """Largest norm of the gradient; null for none."""
    precision: Precision
    """Number format of forward and backward passes."""


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

    @model_validator(mode="after")
    def _scales_are_a_range(self) -> "SegmentAugment":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale {self.scale}: expected the smallest first")
        return self


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

    def more_outputs(self) -> list[str]:
        """List the files for a replay."""
        return self.runtime.outputs()

    def check_fit(self, encoder: Encoder) -> None:
        """Check the size of its images, and the levels of the pyramid."""
        from folk.stages.tasks.segment import check_fit

        check_fit(self, encoder)

    def cuts(self) -> dict[str, Any]:
        """Cut to two updates of small batches."""
        length = {"optim.updates": SMOKE_UPDATES, "optim.warmup_updates": 0}
        return {**length, "optim.batch": SMOKE_BATCH, **SMOKE_LOGGED}


def run(task: Task[SegmentRecipe]) -> dict[str, float]:
    """Train a segmenter from an encoder."""
    from folk.stages.tasks.segment import segment

    return segment(task)


SCORE = Metric(
    "predictions.parquet",
    "folk.evidence.results.metrics.segmentation.score_by_name",
    "folk.evidence.results.metrics.segmentation.score_of_images",
)
STAGE = Stage(
    "segment",
    "Train semantic segmentation from an encoder.",
    section="evaluations",
    recipe=SegmentRecipe,
    run=run,
    inputs=(ENCODER, DATASET, SPLIT),
    outputs={"predictions": "predictions.parquet", "history": "metrics.jsonl"},
    metrics={"miou": SCORE, "macc": SCORE, "aacc": SCORE},
    several_processes=True,
    continues=True,
    kind="segmentation",
    smoke_mb=8000,  # UperNet with ViT-B/16 takes 6.1 GB, measured
)
