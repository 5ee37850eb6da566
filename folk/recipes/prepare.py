"""Recipes of `prepare` and `split`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from folk.recipes.base import Count, Fraction, Positive, Recipe
from folk.yaml_model import Section


class Scenes(Section):
    """Handwritten digits over crops of photographs; see `folk.data.scenes`."""

    size: Count  # side of a scene, pixels
    num_train: Count
    num_val: Count
    num_unlabelled: Annotated[int, Field(ge=0)]
    contrast: Fraction  # of the photograph
    digit_scale: list[Positive] = Field(min_length=2, max_length=2)  # side over scene side
    digit_brightness: list[Fraction] = Field(min_length=2, max_length=2)
    colour: Fraction  # largest saturation of the ink
    seed: Annotated[int, Field(ge=0)]


class Folder(Section):
    """A folder with `train/<class>/*` and `val/<class>/*`."""

    limit: Count | None  # at most so many pictures of each split; null takes all


class PrepareRecipe(Recipe):
    """How pictures become shards."""

    kind: Literal["scenes", "folder"]
    scenes: Scenes | None = None
    folder: Folder | None = None

    @model_validator(mode="after")
    def _section_of_kind(self) -> "PrepareRecipe":
        if getattr(self, self.kind) is None:
            raise ValueError(f"kind is '{self.kind}', so a section '{self.kind}' is needed")
        return self


class SplitRecipe(Recipe):
    """Which labelled pictures a few-label run may see: drawn, or read from a list."""

    per_class: Count | None
    fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None
    list_sha256: str | None
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _one_way(self) -> "SplitRecipe":
        given = [
            k for k in ("per_class", "fraction", "list_sha256") if getattr(self, k) is not None
        ]
        if len(given) != 1:
            named = ", ".join(given) or "none of them"
            raise ValueError(f"give one of per_class, fraction, list_sha256; found {named}")
        return self
