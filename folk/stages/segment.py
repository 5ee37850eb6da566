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

    def cuts(self) -> dict[str, Any]:
        """Cut to two updates of small batches."""
        length = {"optim.updates": SMOKE_UPDATES, "optim.warmup_updates": 0}
        return {**length, "optim.batch": SMOKE_BATCH, **SMOKE_LOGGED}


def run(task: Task[SegmentRecipe]) -> dict[str, float]:
    """Train a segmenter from an encoder."""
    from folk.stages.tasks.segment import segment

    return segment(
        task.recipe,
        encoder=task.folder("encoder"),
        dataset=task.folder("dataset"),
        split=task.file_or_none("split"),
        work=task.work,
        seed=task.seed,
        identity=task.identity,
        world=task.world,
        live=task.live,
    )


SCORE = Metric(
    "predictions.parquet",
    "folk.evidence.results.metrics.segmentation.score_by_name",
    "folk.evidence.results.metrics.segmentation.score_of_images",
)
STAGE = Stage(
    "segment",
    "Transfer an encoder to semantic segmentation with a UperNet decoder.",
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
