"""Preparation: images, embedded, in a folder or in official archives -> shards of every stage."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, field_validator, model_serializer, model_validator

from folk.data.datasets.kinds import KINDS
from folk.evidence.core.errors import nearest
from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import Input
from folk.evidence.study.stage import Stage
from folk.stages.recipes.base import Count, Fraction, Positive, Recipe
from folk.stages.task import Task


class Scenes(Section):
    """Handwritten digits over crops of photographs; see `folk.data.datasets.scenes`."""

    size: Annotated[int, Field(ge=16)]
    """Side of a scene, pixels; a digit has at least 8."""
    num_train: Annotated[int, Field(ge=10)]
    """Labeled training scenes, at least one of each class."""
    num_val: Annotated[int, Field(ge=10)]
    """Validation scenes, at least one of each class."""
    num_unlabeled: Annotated[int, Field(ge=0)]
    """Scenes for pre-training alone."""
    contrast: Fraction
    """Contrast of the photograph."""
    digit_scale: list[Positive] = Field(min_length=2, max_length=2)
    """Smallest and largest side of a digit over the scene's."""
    digit_brightness: list[Fraction] = Field(min_length=2, max_length=2)
    """Smallest and largest brightness of the ink."""
    color: Fraction
    """Largest saturation of the ink."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of all random draws."""

    @field_validator("digit_scale", "digit_brightness")
    @classmethod
    def _smallest_and_largest(cls, values: list[float]) -> list[float]:
        if not 0.0 < values[0] <= values[1] <= 1.0:
            raise ValueError("expected 0 < smallest <= largest <= 1")
        return values


class Folder(Section):
    """A folder with `train/<class>/*` and `val/<class>/*`."""

    limit: Count | None
    """Largest number of images of each split; null takes all."""


class Subset(Section):
    """Part of labeled archives, by the order of the images in them."""

    classes: list[str] | None = Field(default=None, min_length=2)
    """WordNet ids of the classes, or names where there are no ids; null takes all. Labels count
    these alone, in the order of the archives.
    """
    train_per_class: Count | None = None
    """First training images of each class; null takes all."""
    val_per_class: Count | None = None
    """First validation images of each class; null takes all."""
    held_out_per_class: Count | None = None
    """Last training images of each class that become the validation images, in place of those of
    the archives; null takes those of the archives.
    """


class ArchiveFile(Section):
    """Official archive: its published file name and digest."""

    file: str
    """Official name."""
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None
    """Published digest; null where none is published."""
    unpacked_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest of the content of a gzipped file, which distributions pack again; null: no check."""

    @model_serializer(mode="wrap")
    def _without_absent_sha256(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_absent(plain(self), "unpacked_sha256")


class Archives(Section):
    """Official archives of a data set, and their expected content."""

    files: dict[str, ArchiveFile]
    """By the name that a study uses."""
    classes: Count
    """Number of classes."""
    splits: Count | None
    """Number of splits; null skips the check."""
    images: dict[str, Count] | None
    """Images by split, with `each` for all splits; null skips the check."""


def without_absent(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Drop keys that are null: a recipe without them keeps the digest from before they existed."""
    return {key: value for key, value in values.items() if key not in keys or value is not None}


ALL_KINDS = ("scenes", "folder", *KINDS)


class PrepareRecipe(Recipe):
    """Conversion of images to shards."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [*ALL_KINDS]})]
    """Embedded scenes, a folder of images, or official archives."""
    scenes: Scenes | None = None
    folder: Folder | None = None
    archive: Archives | None = None
    subset: Subset | None = None

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in ALL_KINDS:
            raise ValueError(f"unknown kind '{kind}'{nearest(kind, ALL_KINDS)}")
        return kind

    @model_validator(mode="after")
    def _section_of_kind(self) -> "PrepareRecipe":
        section = "archive" if self.kind in KINDS else self.kind
        if getattr(self, section) is None:
            raise ValueError(f"missing section '{section}' for kind '{self.kind}'")
        if self.kind not in KINDS and self.subset is not None:
            raise ValueError(f"subset: a recipe of kind '{self.kind}' takes none; remove it")
        if self.archive is not None:
            named = KINDS[self.kind].archives if self.kind in KINDS else None
            if named is not None and set(self.archive.files) != {*named}:
                raise ValueError(
                    f"archive.files of kind '{self.kind}': expected {', '.join(sorted(named))}, "
                    f"got {', '.join(sorted(self.archive.files))}"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_absent_sections(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_absent(plain(self), "archive", "subset")

    def digests(self) -> dict[str, str | None]:
        """Return the published digests of each archive."""
        files = {} if self.archive is None else self.archive.files
        return {
            f"archive.files.{name}.{key}": getattr(file, key)
            for name, file in files.items()
            for key in ("md5", "unpacked_sha256")
        }


def run(task: Task[PrepareRecipe]) -> dict[str, float]:
    """Make a prepared data set."""
    from folk.stages.tasks.prepare import run_prepare

    return run_prepare(task)


STAGE = Stage(
    "prepare",
    "Read images from folders or archives into shards.",
    section="data",
    recipe=PrepareRecipe,
    run=run,
    inputs=(
        Input("source", "folder with train/<class>/* and val/<class>/*", optional=True),
        Input(
            "archive",
            "NAME=PATH of an official archive, such as devkit=ILSVRC2012_devkit_t12.tar.gz",
            several=True,
            named=True,
            optional=True,
        ),
    ),
    outputs={"shards": "shards", "manifest": "manifest.parquet", "dataset": "dataset.json"},
)
