"""Fine-tuning: an encoder and labels, all or few -> a classifier and its predictions."""

from typing import Any, Literal

from pydantic import model_validator

from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import CLASSIFIER_FILE, DATASET, ENCODER, SPLIT
from folk.evidence.study.stage import Metric, Stage
from folk.stages.recipes.base import (
    SMOKE_EPOCH,
    SMOKE_LOGGED,
    Count,
    Evaluate,
    Fraction,
    InnerFraction,
    NotNegative,
    Optim,
    Recipe,
    TrainingRuntime,
)
from folk.stages.task import Task


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

    def cuts(self) -> dict[str, Any]:
        """Cut to one epoch of small batches."""
        return {**SMOKE_EPOCH, "evaluate_every": 1, **SMOKE_LOGGED}


def run(task: Task[FinetuneRecipe]) -> dict[str, float]:
    """Train a classifier from an encoder."""
    from folk.stages.tasks.finetune import finetune

    return finetune(
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


TOP_K = Metric(
    "predictions.parquet",
    "folk.evidence.results.metrics.classification.top_k_by_name",
    "folk.evidence.results.metrics.classification.top_k_of_images",
)
STAGE = Stage(
    "finetune",
    "Train a whole classifier from an encoder, with all labels or a few.",
    section="evaluations",
    recipe=FinetuneRecipe,
    run=run,
    inputs=(ENCODER, DATASET, SPLIT),
    outputs={
        "predictions": "predictions.parquet",
        "classifier": CLASSIFIER_FILE,
        "card": "classifier.json",
        "history": "metrics.jsonl",
    },
    metrics={"top1_last": TOP_K, "top5_last": TOP_K},
    several_processes=True,
    continues=True,
    finetune_seeds=True,
    kind="full-labels",
    kind_of_few="few-labels",
)
