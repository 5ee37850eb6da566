"""Recipes of `prepare` and `split`."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from folk.evidence.core.yaml_model import Section
from folk.stages.recipes.base import Count, Fraction, Positive, Recipe


class Scenes(Section):
    """Handwritten digits over crops of photographs; see `folk.data.datasets.scenes`."""

    size: Annotated[int, Field(ge=16)]  # side of a scene, pixels; a digit has at least 8
    num_train: Annotated[int, Field(ge=10)]  # one of each class
    num_val: Annotated[int, Field(ge=10)]
    num_unlabeled: Annotated[int, Field(ge=0)]
    contrast: Fraction  # of the photograph
    digit_scale: list[Positive] = Field(min_length=2, max_length=2)  # side over scene side
    digit_brightness: list[Fraction] = Field(min_length=2, max_length=2)
    color: Fraction  # largest saturation of the ink
    seed: Annotated[int, Field(ge=0)]

    @field_validator("digit_scale", "digit_brightness")
    @classmethod
    def _smallest_and_largest(cls, values: list[float]) -> list[float]:
        if not 0.0 < values[0] <= values[1] <= 1.0:
            raise ValueError("expected 0 < smallest <= largest <= 1")
        return values


class Folder(Section):
    """A folder with `train/<class>/*` and `val/<class>/*`."""

    limit: Count | None  # at most so many images of each split; null takes all


class ArchiveFile(Section):
    """Official archive: its published file name and md5."""

    file: str
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None  # null where none is published


class Archives(Section):
    """Official archives of a data set, and their expected content."""

    files: dict[str, ArchiveFile]
    classes: Count
    splits: Count | None  # number of splits; null does not check
    images: dict[str, Count] | None  # by split, `each` for all of them; null does not check


# Names of the archives of a kind; sets of corruptions may be in any number of archives.
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
    """Conversion of images to shards."""

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
            raise ValueError(f"missing section '{section}' for kind '{self.kind}'")
        if self.archive is not None:
            named = ARCHIVES_OF_KIND.get(self.kind)
            if named is not None and set(self.archive.files) != named:
                raise ValueError(
                    f"archive.files of kind '{self.kind}': expected {', '.join(sorted(named))}, "
                    f"got {', '.join(sorted(self.archive.files))}"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_absent_archives(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        # A recipe without archives keeps the digest from before archives existed.
        values = plain(self)
        if values.get("archive", ...) is None:
            del values["archive"]
        return values


class SplitRecipe(Recipe):
    """Choice of the labeled images of a few-label run: drawn, or read from a list."""

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
            raise ValueError(f"expected one of per_class, fraction, list_sha256; got {named}")
        return self
