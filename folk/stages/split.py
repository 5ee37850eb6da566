"""Few labels: the labeled images of a data set -> the keys that a few-label run may see."""

from typing import Annotated

from pydantic import Field, model_validator

from folk.evidence.study.inputs import DATASET_FILE, Input
from folk.evidence.study.stage import Stage
from folk.stages.recipes.base import Count, Recipe
from folk.stages.task import Task


class SplitRecipe(Recipe):
    """Choice of the labeled images of a few-label run: drawn, or read from a list."""

    per_class: Count | None
    """Images of each class."""
    fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None
    """Share of each class."""
    list_sha256: str | None
    """Digest of a list with one image per line."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the draw."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitRecipe":
        given = [
            k for k in ("per_class", "fraction", "list_sha256") if getattr(self, k) is not None
        ]
        if len(given) != 1:
            named = ", ".join(given) or "none of them"
            raise ValueError(f"expected one of per_class, fraction, list_sha256; got {named}")
        return self

    def digests(self) -> dict[str, str | None]:
        """Return the published sha256 of the list."""
        return {"list_sha256": self.list_sha256}


def run(task: Task[SplitRecipe]) -> dict[str, float]:
    """Choose the labeled images."""
    from folk.stages.tasks.split import run_split

    return run_split(task)


STAGE = Stage(
    "split",
    "Choose the few labeled images that a run may use.",
    section="splits",
    recipe=SplitRecipe,
    run=run,
    inputs=(DATASET_FILE, Input("list", "file with one image a line", optional=True)),
    outputs={"subset": "keys.parquet"},
    with_the_driver=True,
)
