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

    return probe(
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


STAGE = Stage(
    "probe",
    "Measure frozen features: nearest neighbors, a linear classifier, and a few labels.",
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
