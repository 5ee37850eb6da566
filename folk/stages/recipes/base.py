"""Base sections of the recipes of all stages."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from folk.evidence.core.ranges import (
    Count as Count,  # the recipes of all stages take them from here
)
from folk.evidence.core.ranges import Fraction as Fraction
from folk.evidence.core.ranges import InnerFraction as InnerFraction
from folk.evidence.core.ranges import NotNegative as NotNegative
from folk.evidence.core.ranges import Positive as Positive
from folk.evidence.core.replay_log import LOG, STATES, Cadence
from folk.evidence.core.yaml_model import Section

Precision = Literal["fp32", "bf16"]

# Of a smoke run.
SMOKE_BATCH = 2  # images: mixup needs an even number, and batch statistics more than one
SMOKE_UPDATES = 2
SMOKE_EPOCH = {"optim.epochs": 1, "optim.batch": SMOKE_BATCH, "optim.warmup_epochs": 0.0}
SMOKE_ALONE = {"runtime.workers": 0}
SMOKE_LOGGED = {**SMOKE_ALONE, "runtime.log_every": 1}


class About(Section):
    """Header of a recipe for readers: what it reproduces and the expected result."""

    reproduces: str
    """Paper and table."""
    hardware: str
    """Hardware of the original, or the hardware this is meant for."""
    expected: str
    """Expected number."""


class Recipe(Section):
    """Base of all recipes.

    `source` and `assume` map a dotted key to the origin of its value: a place in a paper or
    repository, or, where the sources are silent, the basis of our assumption.
    """

    about: About
    source: dict[str, str] = Field(default_factory=dict)
    """Dotted key to the source of its value: a place in a paper or a repository."""
    assume: dict[str, str] = Field(default_factory=dict)
    """Dotted key to the basis of our choice, where the sources are silent."""

    def files(self) -> dict[str, Path]:
        """Return the files of the user that the recipe names, by name in records."""
        return {}

    def more_outputs(self) -> list[str]:
        """List what a job leaves besides the outputs of its stage, depending on the recipe."""
        return []

    def digests(self) -> dict[str, str | None]:
        """Return the published digests of files that the job reads, by dotted key."""
        return {}

    def unfit(self, scale: str) -> str | None:
        """Return why a study of this scale cannot use the recipe; None if it can."""
        return None

    def check_fit(self, encoder: "Encoder") -> None:
        """Check the recipe with the encoder of a row, before anything is trained.

        It needs torch, and makes the network on torch's default device: on the meta device nothing
        is allocated or computed.

        Args:
            encoder: of the row; a pre-training has its own.

        Raises:
            InputError: `key: problem`, a key of this recipe or of the row's.
        """

    def fit_values(self) -> dict[str, Any]:
        """Return what decides `check_fit` of this recipe: equal values are checked once."""
        return self.model_dump(
            mode="json", exclude={"about", "source", "assume", "optim", "runtime"}
        )

    def cuts(self) -> dict[str, Any]:
        """Make dotted keys and values that reduce the recipe to two updates with small batches."""
        return {}

    def metric_after_cuts(self, metric: str) -> str:
        """Return the metric that a cut recipe has in place of one of the whole recipe."""
        return metric

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
    """A safetensors file, or one of torch with weights alone; nothing is downloaded."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the file."""
    entry: str | None
    """Dotted key of the weights in a torch file; null for the top level."""
    prefix: str
    """Stripped from the keys of the weights; may be empty."""
    ignore: list[str]
    """Beginnings of keys that are left out; the rest must be all of timm's keys."""
    mean: list[Fraction] = Field(min_length=3, max_length=3)
    """Mean of each color that these weights expect, for images in [0, 1]."""
    std: list[Positive] = Field(min_length=3, max_length=3)
    """Standard deviation of each color that these weights expect."""


class Encoder(Section):
    """Architecture and initial weights of the trained network."""

    timm_name: str
    """Name of the architecture in timm."""
    timm_args: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of `timm.create_model`; another `timm_name` than that of `base` does not
    inherit them. `drop_path_rate: 0.0` switches off the stochastic depth that some architectures
    have by default.
    """
    init: Literal["timm", "beit"]
    """Initial weights: timm's, or BEiT's, with which MFM starts its ViTs."""
    checkpoint: Checkpoint | None
    """Weights from elsewhere that replace a training (`method` and `optim` are null then)."""

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
    """AdamW, LAMB, or SGD with Nesterov momentum."""
    epochs: Count
    """Length of the training."""
    batch: Count
    """Images of one update (the effective batch), whatever the number of processes."""
    lr: Positive
    """Rate for `lr_batch` images, scaled by `batch / lr_batch`."""
    lr_batch: Count | None
    """Null: rates are not scaled, and `lr` is the peak."""
    lr_min: NotNegative
    """Rate at the end, scaled as `lr`; with `layer_decay` the same for all layers."""
    lr_warmup_start: NotNegative
    """Rate at the start of the warm-up, scaled as `lr`; the same for all layers."""
    warmup_epochs: NotNegative
    """Epochs of linear warm-up."""
    warmup_prefix: bool
    """True: the cosine starts after the warm-up. False: it counts from step 0."""
    betas: list[Fraction] = Field(min_length=2, max_length=2)
    """Betas of AdamW and LAMB; the momentum of SGD is 0.9."""
    eps: Positive
    """Epsilon of AdamW and LAMB."""
    weight_decay: NotNegative
    """Biases, norms, position embeddings and class tokens have none."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)]
    """Factor of the rate for each layer below the head."""
    clip_grad: Positive | None
    """Largest norm of the gradient; null for none."""
    precision: Precision
    """Number format of forward and backward passes."""

    @model_validator(mode="after")
    def _warm_up_fits(self) -> "Optim":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} must be below epochs {self.epochs}"
            )
        return self


class Runtime(Section):
    """Runtime options of a job; no part of a result's identity.

    Nothing here changes the result, with one exception: what is computed or drawn for the images
    that a process has at once depends on `max_batch` and on the number of processes. These are the
    statistics of batch norm (ResNet-50), mean spectra, `weight_matrix.maximum: batch`, and
    the draws of stochastic depth and dropout. A process also draws mixup and cutmix once for all
    its images of an update, as the originals do.
    """

    workers: Annotated[int, Field(ge=0)]
    """Data loading processes."""
    checkpoint_seconds: NotNegative
    """Shortest time between two checkpoints."""
    cache_mb: Annotated[int, Field(ge=0)]
    """Decoded images kept in memory, if all of them fit."""


class TrainingRuntime(Runtime):
    """Runtime of a training stage."""

    max_batch: Count | None
    """Images per process at once; gradients of more are accumulated."""
    log_every: Count
    """Updates between two lines of `metrics.jsonl`."""
    compile: bool
    """Compile what trains with `torch.compile`, which needs a C++ compiler, on a GPU Triton. It
    moves the last bits of sums, as other hardware does.
    """
    deterministic: bool = False
    """On a GPU, the same bits in each run: attention as plain matrix products, and kernels that add
    in a fixed order, both slower. CPUs always give the same bits.
    """
    replay: Cadence | None = Field(default=None, exclude_if=lambda value: value is None)
    """Log of states for audits; null for none."""

    def outputs(self) -> list[str]:
        """List what a training leaves with its results for a replay."""
        return [] if self.replay is None else [LOG, STATES]


class Evaluate(Section):
    """Validation images."""

    resize: Count
    """Shorter side, pixels; bicubic."""
    crop: Count
    """Side of the center crop, pixels."""
    batch: Count
    """Images at once."""

    @model_validator(mode="after")
    def _crop_is_within(self) -> "Evaluate":
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} must be at most resize {self.resize}")
        return self
