"""Cost: the recipe of a row -> parameters, FLOPs, memory and time of its pre-training, untrained.

Times are of one machine, on which nothing else should run.
"""

from typing import Any

from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import DATASET_FILE, PRETRAIN_RECIPE
from folk.evidence.study.stage import Stage
from folk.stages.recipes.base import SMOKE_BATCH, SMOKE_UPDATES, Count, Recipe
from folk.stages.task import Task


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

    def cuts(self) -> dict[str, Any]:
        """Cut to two timed updates of small batches."""
        if self.step is None:
            return {}
        return {"step.batch": SMOKE_BATCH, "step.warmup": 1, "step.updates": SMOKE_UPDATES}


def run(task: Task[CostRecipe]) -> dict[str, float]:
    """Measure what the pre-training of a row costs."""
    from folk.stages.tasks.cost import cost

    return cost(task)


STAGE = Stage(
    "cost",
    "Measure parameters, FLOPs, memory and time of a training.",
    section="evaluations",
    recipe=CostRecipe,
    run=run,
    inputs=(PRETRAIN_RECIPE, DATASET_FILE),
    outputs={"cost": "cost.json", "history": "metrics.jsonl"},
    of_one_machine=True,
)
