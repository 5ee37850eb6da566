"""Few labels: the labeled images of a data set -> the keys that a few-label run may see."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, model_serializer, model_validator

from folk.evidence.study.inputs import DATASET_FILE, Input
from folk.evidence.study.stage import Stage
from folk.stages.prepare import without_absent
from folk.stages.recipes.base import Count, Recipe
from folk.stages.task import Task


class SplitRecipe(Recipe):
    """Choice of the labeled images of a few-label run: drawn, or published."""

    per_class: Count | None
    """Images of each class."""
    fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None
    """Share of each class."""
    list_sha256: str | None
    """Digest of a list with one image per line."""
    fold: Annotated[int, Field(ge=0)] | None = None
    """Number of a fold that the data set's archive lists, counted from 0."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the draw."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitRecipe":
        ways = ("per_class", "fraction", "list_sha256", "fold")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) != 1:
            named = ", ".join(given) or "none of them"
            raise ValueError(f"expected one of {', '.join(ways)}; got {named}")
        return self

    @model_serializer(mode="wrap")
    def _without_absent_fold(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_absent(plain(self), "fold")

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
