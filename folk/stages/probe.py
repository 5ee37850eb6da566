"""Frozen features: an encoder and labels -> neighbors, a linear classifier, and a few labels."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import DATASET, ENCODER, SPLIT
from folk.evidence.study.stage import Metric, Stage
from folk.stages.recipes.base import (
    SMOKE_ALONE,
    SMOKE_BATCH,
    Count,
    Encoder,
    Evaluate,
    Fraction,
    NotNegative,
    Positive,
    Precision,
    Recipe,
    Runtime,
)
from folk.stages.task import Task

SMOKE_SHOTS = 1

Feature = Literal["cls", "mean", "cls-and-mean", "last-4-cls"]


class Knn(Section):
    """Weighted nearest neighbors."""

    k: list[Count] = Field(min_length=1)
    """Numbers of neighbors; a metric `knn_top1_k<k>` each."""
    temperature: Positive
    """Temperature of the neighbors' votes."""

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
    """For crops: smallest share of the area."""
    flip: Fraction
    """For crops: probability of mirroring."""
    interpolation: Literal["bilinear", "bicubic"]
    """For crops: the resize."""
    epochs: Count
    """Length of the training."""
    batch: Count
    """Images of one update."""
    lr: Positive
    """Rate for `lr_batch` images, scaled by `batch / lr_batch`."""
    lr_batch: Count
    """Images that `lr` is for."""
    momentum: Fraction
    """Momentum of SGD."""
    weight_decay: NotNegative
    """Weight decay of SGD."""


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
    """Most iterations of the solver."""
    tolerance: Positive
    """Tolerance of the solver."""

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
    """Number format of forward passes."""
    runtime: Runtime

    def check_fit(self, encoder: Encoder) -> None:
        """Check the size of its images, and its features."""
        from folk.stages.tasks.probe import check_fit

        check_fit(self, encoder)

    def cuts(self) -> dict[str, Any]:
        """Cut to one epoch of small batches, and one image of each class."""
        few = {"kshot.shots": [SMOKE_SHOTS], "kshot.seeds": [0]} if self.kshot is not None else {}
        return {"linear.epochs": 1, "linear.batch": SMOKE_BATCH, **few, **SMOKE_ALONE}

    def metric_after_cuts(self, metric: str) -> str:
        """Replace the accuracy with shots that are cut."""
        known = {f"kshot_top1_{number}" for number in (self.kshot.shots if self.kshot else [])}
        return f"kshot_top1_{SMOKE_SHOTS}" if metric in known else metric


def run(task: Task[ProbeRecipe]) -> dict[str, float]:
    """Measure frozen features."""
    from folk.stages.tasks.probe import probe

    return probe(task)


STAGE = Stage(
    "probe",
    "Measure the frozen features of an encoder.",
    section="evaluations",
    recipe=ProbeRecipe,
    run=run,
    inputs=(ENCODER, DATASET, SPLIT),
    outputs={
        "knn": "predictions-knn.parquet",
        "linear": "predictions-linear.parquet",
        "kshot": "predictions-kshot.parquet",
        "history": "metrics.jsonl",
    },
    metrics={
        "linear_top1_last": Metric(
            "predictions-linear.parquet",
            "folk.evidence.results.metrics.classification.top_k_by_name",
            "folk.evidence.results.metrics.classification.top_k_of_images",
        ),
        "knn_top1_k*": Metric(
            "predictions-knn.parquet",
            "folk.evidence.results.metrics.knn.knn_by_name",
            "folk.evidence.results.metrics.knn.knn_of_images",
        ),
        "kshot_top1_*": Metric(
            "predictions-kshot.parquet",
            "folk.evidence.results.metrics.kshot.kshot_by_name",
            "folk.evidence.results.metrics.kshot.kshot_of_images",
        ),
    },
    several_processes=True,
    continues=True,
)
