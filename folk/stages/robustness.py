"""Robustness: a fine-tuned classifier -> what it says of other sets, corrupted, attacked images."""

from typing import Any

from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import CLASSIFIER, DATASETS
from folk.evidence.study.stage import Metric, Stage
from folk.stages.recipes.base import (
    SMOKE_ALONE,
    Count,
    Encoder,
    Evaluate,
    Positive,
    Precision,
    Recipe,
    Runtime,
)
from folk.stages.task import Task


class Attack(Section):
    """FGSM and PGD; sizes in gray levels, from 0 to 255."""

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
    """Number format of forward passes; attacks run in fp32."""
    runtime: Runtime

    def unfit(self, scale: str) -> str | None:
        """Only a demo may measure corruptions of its own."""
        if scale == "demo" or not self.in_memory:
            return None
        return (
            "in_memory: corruptions made in memory are for demos; at the papers' scale "
            "prepare ImageNet-C's own JPEG files, name that set in the study, and give [] here"
        )

    def check_fit(self, encoder: Encoder) -> None:
        """Check the sizes of its images."""
        from folk.stages.tasks.robustness import check_fit

        check_fit(self, encoder)

    def cuts(self) -> dict[str, Any]:
        """Cut to two steps of an attack."""
        return {**({"attack.pgd_steps": 2} if self.attack is not None else {}), **SMOKE_ALONE}


def run(task: Task[RobustnessRecipe]) -> dict[str, float]:
    """Measure a classifier on other sets, corrupted images, and under attack."""
    from folk.stages.tasks.robustness import robustness

    return robustness(task)


STAGE = Stage(
    "robustness",
    "Measure a classifier on other, corrupted, attacked images.",
    section="evaluations",
    recipe=RobustnessRecipe,
    run=run,
    inputs=(CLASSIFIER, DATASETS),
    outputs={"predictions": "predictions-variants.parquet"},
    metrics={
        "*": Metric(
            "predictions-variants.parquet",
            "folk.evidence.results.metrics.corruption.robustness_by_name",
            "folk.evidence.results.metrics.variants.variant_of_images",
        )
    },
    several_processes=True,
    kind="robustness",
)
