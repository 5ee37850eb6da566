"""Recipes of `prepare` and `split`."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer, model_validator

from folk.evidence.core.yaml_model import Section
from folk.stages.recipes.base import Count, Fraction, Positive, Recipe


class Scenes(Section):
    """Handwritten digits over crops of photographs; see `folk.data.datasets.scenes`."""

    size: Count  # side of a scene, pixels
    num_train: Count
    num_val: Count
    num_unlabeled: Annotated[int, Field(ge=0)]
    contrast: Fraction  # of the photograph
    digit_scale: list[Positive] = Field(min_length=2, max_length=2)  # side over scene side
    digit_brightness: list[Fraction] = Field(min_length=2, max_length=2)
    color: Fraction  # largest saturation of the ink
    seed: Annotated[int, Field(ge=0)]


class Folder(Section):
    """A folder with `train/<class>/*` and `val/<class>/*`."""

    limit: Count | None  # at most so many images of each split; null takes all


class ArchiveFile(Section):
    """One official archive: what its makers call it, and what they say of its bytes."""

    file: str
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None  # null where none is published


class Archives(Section):
    """Official archives of a data set, and what they hold when they are whole."""

    files: dict[str, ArchiveFile]
    classes: Count
    splits: Count | None  # how many; null does not check
    images: dict[str, Count] | None  # by split, `each` for all of them; null does not check


# The names that the archives of a kind have; the sets of corruptions may lie in any number of them.
ARCHIVES_OF_KIND: dict[str, set[str] | None] = {
    "imagenet": {"train", "val", "devkit"},
    "ade20k": {"images"},
    "imagenet-c": None,
    "imagenet-a": {"images"},
    "imagenet-r": {"images"},
    "imagenet-sketch": {"images"},
    "imagenet-v2": {"images"},
    "c-bar": None,
}


class PrepareRecipe(Recipe):
    """How images become shards."""

    kind: Literal[
        "scenes",
        "folder",
        "imagenet",
        "ade20k",
        "imagenet-c",
        "imagenet-a",
        "imagenet-r",
        "imagenet-sketch",
        "imagenet-v2",
        "c-bar",
    ]
    scenes: Scenes | None = None
    folder: Folder | None = None
    archive: Archives | None = None

    @model_validator(mode="after")
    def _section_of_kind(self) -> "PrepareRecipe":
        section = "archive" if self.kind in ARCHIVES_OF_KIND else self.kind
        if getattr(self, section) is None:
            raise ValueError(f"kind is '{self.kind}', so a section '{section}' is needed")
        if self.archive is not None:
            named = ARCHIVES_OF_KIND.get(self.kind)
            if named is not None and set(self.archive.files) != named:
                raise ValueError(
                    f"archive.files of kind '{self.kind}' are {', '.join(sorted(named))}; "
                    f"found {', '.join(sorted(self.archive.files))}"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_absent_archives(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        # A recipe that reads none keeps the digest that it had before there were any.
        values = plain(self)
        if values.get("archive", ...) is None:
            del values["archive"]
        return values


class SplitRecipe(Recipe):
    """Which labeled images a few-label run may see: drawn, or read from a list."""

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
