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
    Encoder,
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


class FinetuneRecipe(Recipe):
    """Full fine-tuning of the network with labels."""

    augment: Augment
    evaluate: Evaluate
    drop_path: Fraction
    """Stochastic depth of the last block, 0 for none, whatever timm's default is."""
    loss: Literal["ce", "bce"]
    """Cross-entropy, or binary cross-entropy of each class."""
    bce_threshold: InnerFraction | None
    """For `bce`: the share of a class in a mixed image above which its target is 1, else 0. Null
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

    def more_outputs(self) -> list[str]:
        """List the files for a replay."""
        return self.runtime.outputs()

    def check_fit(self, encoder: Encoder) -> None:
        """Check the sizes of its images, and its stochastic depth."""
        from folk.stages.tasks.finetune import check_fit

        check_fit(self, encoder)

    def fit_values(self) -> dict[str, Any]:
        """Return sizes, stochastic depth and RandAugment: trainings differ in much else."""
        values = self.model_dump(mode="json")
        images = {key: values["augment"][key] for key in ("size", "rand_augment")}
        return {"augment": images, "crop": values["evaluate"]["crop"], "drop_path": self.drop_path}

    def cuts(self) -> dict[str, Any]:
        """Cut to one epoch of small batches."""
        return {**SMOKE_EPOCH, "evaluate_every": 1, **SMOKE_LOGGED}


def run(task: Task[FinetuneRecipe]) -> dict[str, float]:
    """Train a classifier from an encoder."""
    from folk.stages.tasks.finetune import finetune

    return finetune(task)


TOP_K = Metric(
    "predictions.parquet",
    "folk.evidence.results.metrics.classification.top_k_by_name",
    "folk.evidence.results.metrics.classification.top_k_of_images",
)
STAGE = Stage(
    "finetune",
    "Train a classifier from an encoder.",
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
