"""Base sections of the recipes of all stages."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from folk.evidence.core.ranges import (
    Count as Count,  # the recipes of all stages take them from here
)
from folk.evidence.core.ranges import Fraction as Fraction
from folk.evidence.core.ranges import InnerFraction as InnerFraction
from folk.evidence.core.ranges import NotNegative as NotNegative
from folk.evidence.core.ranges import Positive as Positive
from folk.evidence.core.yaml_model import Section

Precision = Literal["fp32", "bf16"]


class About(Section):
    """Header of a recipe for readers: what it reproduces and the expected result."""

    reproduces: str
    hardware: str
    expected: str


class Recipe(Section):
    """Base of all recipes.

    `source` and `assume` map a dotted key to the origin of its value: a place in a paper or
    repository, or, where the sources are silent, the basis of our assumption.
    """

    about: About
    source: dict[str, str] = Field(default_factory=dict)
    assume: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _marks_name_real_keys(self) -> "Recipe":
        for mark in ("source", "assume"):
            for dotted in getattr(self, mark):
                at: Any = self
                for key in dotted.split("."):
                    fields = getattr(type(at), "model_fields", {})
                    known = at if isinstance(at, dict) else fields
                    at = _MISSING if key not in known else dict(at)[key]
                    if at is _MISSING:
                        raise ValueError(f"{mark}: unknown key '{dotted}' of this recipe")
        return self


_MISSING = object()


class Checkpoint(Section):
    """External weights, used unchanged; they must fit the encoder key by key."""

    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    entry: str | None  # dotted key of the weights in a torch file
    prefix: str  # stripped from the keys
    ignore: list[str]  # prefixes of keys, as in the file, that are not used
    mean: list[Fraction] = Field(min_length=3, max_length=3)  # of each color, images in [0, 1]
    std: list[Positive] = Field(min_length=3, max_length=3)


class Encoder(Section):
    """Architecture and initial weights of the trained network."""

    timm_name: str
    timm_args: dict[str, Any] = Field(default_factory=dict)
    init: Literal["timm", "beit"]
    checkpoint: Checkpoint | None

    @model_validator(mode="after")
    def _fits_images_without_labels(self) -> "Encoder":
        if self.timm_args.get("in_chans", 3) != 3:
            raise ValueError(
                f"timm_args.in_chans: expected 3, got {self.timm_args['in_chans']}; remove it"
            )
        if "num_classes" in self.timm_args:
            raise ValueError("timm_args.num_classes: the stages set it; remove it")
        return self


class Optim(Section):
    """Optimizer and schedule of a stage that counts in epochs.

    Rates are for `lr_batch` images and are scaled by `batch / lr_batch`; null takes them as they
    are, `lr` as the peak. `batch` is the number of images behind one update, whatever the number
    of processes; see `runtime.max_batch`.
    """

    optimizer: Literal["adamw", "lamb", "sgd"]
    epochs: Count
    batch: Count
    lr: Positive
    lr_batch: Count | None
    lr_min: NotNegative
    lr_warmup_start: NotNegative
    warmup_epochs: NotNegative
    warmup_prefix: bool  # True: the cosine starts after the warm-up; False: it counts from step 0
    betas: list[Fraction] = Field(min_length=2, max_length=2)
    eps: Positive
    weight_decay: NotNegative
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)]
    clip_grad: Positive | None
    precision: Precision

    @model_validator(mode="after")
    def _warm_up_fits(self) -> "Optim":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} must be below epochs {self.epochs}"
            )
        return self


class Runtime(Section):
    """Runtime options of a job; no part of a result's identity.

    Nothing here changes the result, with one exception: statistics over the images that a process
    has at once depend on `max_batch` and on the number of processes. These are the statistics of
    batch norm (ResNet-50), mean spectra, `weight_matrix.maximum: batch`, and the images that
    stochastic depth skips.
    """

    workers: Annotated[int, Field(ge=0)]  # data loading processes
    checkpoint_seconds: NotNegative  # at least this long between two checkpoints
    cache_mb: Annotated[int, Field(ge=0)]  # decoded images kept in memory, if all of them fit


class TrainingRuntime(Runtime):
    """Runtime of a training stage."""

    max_batch: Count | None  # images per process at once; gradients of more are accumulated
    log_every: Count  # updates between two lines of metrics.jsonl
    compile: bool  # the model by torch.compile, while it trains; moves the last bits of sums
