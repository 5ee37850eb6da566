"""Pre-training without labels: filter, reconstruction and distillation are separate switches."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from folk.evidence.core.ranges import Count, Fraction, NotNegative, Positive
from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import DATASET
from folk.evidence.study.stage import Stage
from folk.filters.settings import FilterSettings
from folk.methods.settings import DegradationSettings
from folk.stages.recipes.base import (
    SMOKE_EPOCH,
    SMOKE_LOGGED,
    SMOKE_UPDATES,
    Encoder,
    Optim,
    Recipe,
    TrainingRuntime,
)
from folk.stages.task import Task


class WeightMatrix(Section):
    """Weights of frequencies by their error."""

    alpha: Positive
    """Exponent of the error."""
    log: bool
    """Take log(1 + weight) before the division."""
    maximum: Literal["image", "batch"]
    """Weights are divided by the largest of each image's color, or of the batch."""


class Reconstruction(Section):
    """Reconstruction of removed frequencies, or of a degraded image."""

    filter_stage: Literal["before", "after"]
    """Filter before or after the mean/std normalization."""
    clamp: bool
    """Clamp what the encoder sees to [0, 1]."""
    inverse: Literal["real", "abs"]
    """Real part or modulus of the filtered image."""
    region: Literal["masked", "all"]
    """Frequencies in the loss: the removed ones or all."""
    form: Literal["mfm", "norm"]
    """Form of the loss: MFM's mean of moduli, or FOLK's printed norm per channel."""
    normalize: Literal["batch", "image"]
    """For `mfm`: over all images of one update, on however many processes, or each image."""
    gamma: Positive
    """For `mfm`: exponent."""
    weight_matrix: WeightMatrix | None
    average_spectrum: bool
    """Compare the mean spectra of the batches (images that a process has at once) instead of each
    image's; with `region: all` only.
    """
    decoder_depth: Annotated[int, Field(ge=0)]
    """Transformer blocks, 512 wide, that all tokens pass between a ViT and the head; 0 for none,
    MFM's default.
    """
    weight: NotNegative = 1.0
    """Weight of this loss; 0 removes it and its head and leaves distillation alone."""

    @model_validator(mode="after")
    def _a_mean_spectrum_has_no_mask(self) -> "Reconstruction":
        if self.average_spectrum and self.region != "all":
            raise ValueError("average_spectrum mixes images with different masks; set region: all")
        return self

    @model_validator(mode="after")
    def _normalized_images_have_no_range(self) -> "Reconstruction":
        if self.filter_stage == "after" and self.clamp:
            raise ValueError("filter_stage: after has no [0, 1] to clip to; set clamp: false")
        return self

    @model_validator(mode="after")
    def _one_norm_weighs_nothing(self) -> "Reconstruction":
        if self.form == "norm" and (self.weight_matrix is not None or self.average_spectrum):
            raise ValueError(
                "form: norm has no weights and no mean spectrum; set weight_matrix: null, "
                "average_spectrum: false"
            )
        return self


class Distillation(Section):
    """Distillation of the teacher's output for the other view."""

    alpha: NotNegative
    """Weight of this loss; that of the reconstruction is 1."""
    reduce: Literal["sum", "mean"]
    """Sum or mean of the two crossed terms."""
    encoder: Literal["student", "teacher"]
    """Network to measure; the other is saved in a subfolder of its name."""
    teacher_view: Literal["full", "spatial"]
    """`full`: the views that are filtered for the student. `spatial`: only cropped and flipped."""
    feature: Literal["cls", "mean"]
    """Input of the head: the class token, or the mean of the patch tokens."""
    head: Literal["dino", "plain_mlp3"]
    """DINO's head, or a plain MLP of three layers."""
    norm_last_layer: bool
    """Fix the gain of the last layer of DINO's head to 1."""
    out_dim: Count
    """Outputs of the head."""
    hidden_dim: Count
    """Width of the head."""
    bottleneck_dim: Count
    """Width before the last layer of DINO's head."""
    student_temperature: Positive
    """Temperature of the student's softmax."""
    teacher_temperature: Positive
    """Temperature of the teacher's softmax after the warm-up."""
    teacher_temperature_start: Positive
    """Temperature of the teacher's softmax at the start."""
    teacher_temperature_warmup_epochs: Annotated[int, Field(ge=0)]
    """Epochs of linear warm-up."""
    center_momentum: Fraction
    """EMA momentum of the mean of the teacher's outputs."""
    ema_start: Fraction
    """EMA momentum of the teacher at the start; a cosine leads to `ema_end`."""
    ema_end: Fraction
    """EMA momentum of the teacher at the end."""
    ema_every: Count
    """Updates between two steps of the teacher."""
    freeze_last_layer_epochs: NotNegative
    """Epochs in which the head's last layer does not train."""


class Views(Section):
    """The augmentation that makes a view; two independent draws with distillation, else one."""

    augment: Literal["mfm", "dino"]
    """`mfm`: crop and mirror. `dino`: also color jitter, gray, blur, solarize."""
    size: Count
    """Side of a view, pixels."""
    min_scale: Fraction
    """Smallest share of the area."""
    max_scale: Fraction
    """Largest share of the area."""
    flip: Fraction
    """Probability of mirroring."""
    jitter: NotNegative
    """Strength of the color jitter: 1 is DINO's, 0 none; with `mfm` of brightness and contrast
    alone.
    """
    colors: Literal["loader", "device"] = "loader"
    """Place of color changes and blur: the loading processes, or the device by batch; a few
    values differ by a gray level.
    """

    @model_validator(mode="after")
    def _scales_are_a_range(self) -> "Views":
        if not 0.0 < self.min_scale <= self.max_scale:
            raise ValueError(
                f"expected 0 < min_scale <= max_scale, got {self.min_scale} and {self.max_scale}"
            )
        return self


class Method(Section):
    """Pre-training task, on a filtered or a degraded image."""

    filter: FilterSettings | None = None
    """What is hidden from the student; a filter or a degradation, by `kind`."""
    degradation: DegradationSettings | None = None
    """One of MFM's restoration tasks, by `kind`; `reconstruction.region` is `all` then."""
    reconstruction: Reconstruction
    distillation: Distillation | None
    """Null for one branch."""

    @property
    def num_views(self) -> int:
        """Number of views of each image."""
        return 1 if self.distillation is None else 2

    @property
    def has_spatial_views(self) -> bool:
        """True if each view comes a second time, cropped and flipped only."""
        return self.distillation is not None and self.distillation.teacher_view == "spatial"

    @model_validator(mode="after")
    def _filter_or_degradation(self) -> "Method":
        if (self.filter is None) == (self.degradation is None):
            found = "none" if self.filter is None else "both"
            raise ValueError(f"expected one of 'filter' and 'degradation', got {found}")
        return self

    @model_validator(mode="after")
    def _something_trains(self) -> "Method":
        weight = self.reconstruction.weight
        if weight > 0.0 and self.filter is not None and self.filter.kind == "none":
            raise ValueError(
                "filter.kind: none leaves nothing to predict; set reconstruction.weight: 0"
            )
        if weight != 1.0 and self.distillation is None:
            raise ValueError(f"reconstruction.weight: {weight:g} needs distillation, got null")
        return self

    @model_validator(mode="after")
    def _degradations_hide_nothing(self) -> "Method":
        if self.degradation is not None:
            if self.reconstruction.region != "all":
                raise ValueError("a degradation has no mask; set reconstruction.region: all")
            if self.reconstruction.inverse != "real":
                raise ValueError("a degradation has no inverse; set reconstruction.inverse: real")
            if self.reconstruction.filter_stage != "before":
                raise ValueError("a degradation has no filter; set filter_stage: before")
            if self.distillation is not None:
                raise ValueError("distillation needs a filter; set distillation: null")
        return self


class PretrainRuntime(TrainingRuntime):
    """Runtime of a pre-training."""

    knn_every: Annotated[int, Field(ge=0)] = 1
    """Epochs between two accuracies of nearest neighbors among a few labeled training images, which
    `metrics.jsonl` shows and nothing is chosen by; 0 for none.
    """


class PretrainRecipe(Recipe):
    """Pre-training of one encoder; without a method it keeps its initial weights."""

    encoder: Encoder
    method: Method | None
    """Null leaves the encoder untrained (then `optim` is null too)."""
    views: Views
    optim: Optim | None
    runtime: PretrainRuntime

    def encoders(self) -> dict[str, str]:
        """Map the folders of the saved encoders to "student" or "teacher"; "" is evaluated."""
        section = None if self.method is None else self.method.distillation
        if section is None:
            return {"": "student"}
        other = "student" if section.encoder == "teacher" else "teacher"
        return {"": section.encoder, other: other}

    def more_outputs(self) -> list[str]:
        """List the files of the encoder that is not evaluated, and those for a replay."""
        files = ENCODER_FILES.values()
        other = [f"{folder}/{file}" for folder in self.encoders() if folder for file in files]
        return other if self.method is None else [*other, *self.runtime.outputs()]

    def files(self) -> dict[str, Path]:
        """Return the external weights."""
        checkpoint = self.encoder.checkpoint
        return {} if checkpoint is None else {"checkpoint": Path(checkpoint.path)}

    def check_fit(self, encoder: Encoder) -> None:
        """Check the size of the views with encoder and head."""
        from folk.stages.tasks.pretrain import check_fit

        check_fit(self)

    def fit_values(self) -> dict[str, Any]:
        """Return the size of the views and the depth of the decoder, none for an untrained row."""
        depth = None if self.method is None else self.method.reconstruction.decoder_depth
        return {"size": self.views.size, "decoder_depth": depth}

    def cuts(self) -> dict[str, Any]:
        """Cut to one epoch of small batches."""
        # External weights are not needed to test the rest: the encoder starts untrained.
        start = {} if self.encoder.checkpoint is None else {"encoder.checkpoint": None}
        if self.method is None:
            return start
        if self.method.distillation is None:
            return {**SMOKE_EPOCH, **SMOKE_LOGGED}
        distillation = {
            "method.distillation.teacher_temperature_warmup_epochs": 0,
            # The first update freezes the last layer, the second does not.
            "method.distillation.freeze_last_layer_epochs": 1 / SMOKE_UPDATES,
        }
        return {**SMOKE_EPOCH, **distillation, **SMOKE_LOGGED}

    @model_validator(mode="after")
    def _trained_or_not(self) -> "PretrainRecipe":
        if (self.method is None) != (self.optim is None):
            raise ValueError(
                "expected both 'method' and 'optim', or null for both (an untrained encoder)"
            )
        if self.encoder.checkpoint is not None and self.method is not None:
            raise ValueError(
                "encoder.checkpoint is not trained further; set 'method' and 'optim' to null"
            )
        return self


def run(task: Task[PretrainRecipe]) -> dict[str, float]:
    """Train an encoder without labels."""
    from folk.stages.tasks.pretrain import pretrain

    return pretrain(task)


ENCODER_FILES = {"encoder": "encoder.safetensors", "card": "encoder.json", "timm": "config.json"}
STAGE = Stage(
    "pretrain",
    "Train an encoder without labels, by FOLK, MFM or others.",
    section="encoders",
    recipe=PretrainRecipe,
    run=run,
    inputs=(DATASET,),
    outputs={**ENCODER_FILES, "examples": "examples.npz", "history": "metrics.jsonl"},
    several_processes=True,
    continues=True,
)
