"""Recipe of `pretrain`: filter, reconstruction and distillation are separate switches."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from folk.evidence.core.ranges import Count, Fraction, NotNegative, Positive
from folk.evidence.core.yaml_model import Section
from folk.filters.settings import FilterSettings
from folk.methods.settings import DegradationSettings
from folk.stages.recipes.base import Encoder, Optim, Recipe, TrainingRuntime


class WeightMatrix(Section):
    """Weights of frequencies by their error."""

    alpha: Positive
    log: bool
    maximum: Literal["image", "batch"]


class Reconstruction(Section):
    """Reconstruction of removed frequencies, or of a degraded image."""

    filter_stage: Literal["before", "after"]  # the mean/std normalization
    clamp: bool
    inverse: Literal["real", "abs"]
    region: Literal["masked", "all"]
    form: Literal["mfm", "norm"]  # MFM's mean of moduli, or one norm as FOLK prints it
    normalize: Literal["batch", "image"]
    gamma: Positive
    weight_matrix: WeightMatrix | None
    average_spectrum: bool  # compare the mean spectra of the batches
    decoder_depth: Annotated[int, Field(ge=0)]  # transformer blocks before the head; 0 for none

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

    alpha: NotNegative  # weight, relative to the reconstruction's 1
    reduce: Literal["sum", "mean"]  # of the two crossed terms
    encoder: Literal["student", "teacher"]  # the one that is evaluated; both are saved
    teacher_view: Literal["full", "spatial"]  # spatial: cropped and flipped only
    feature: Literal["cls", "mean"]
    head: Literal["dino", "plain_mlp3"]
    norm_last_layer: bool  # of DINO's head: the gain of its last layer is fixed to 1
    out_dim: Count
    hidden_dim: Count
    bottleneck_dim: Count
    student_temperature: Positive
    teacher_temperature: Positive
    teacher_temperature_start: Positive
    teacher_temperature_warmup_epochs: Annotated[int, Field(ge=0)]
    center_momentum: Fraction
    ema_start: Fraction
    ema_end: Fraction
    ema_every: Count  # updates between two steps of the teacher
    freeze_last_layer_epochs: NotNegative


class Views(Section):
    """The augmentation that makes a view; two independent draws with distillation, else one."""

    augment: Literal["mfm", "dino"]
    size: Count  # pixels
    min_scale: Fraction
    max_scale: Fraction
    flip: Fraction
    jitter: NotNegative  # strength of the color jitter relative to DINO's; 0 is none
    # Who changes colors and blurs: the loading processes, or the device, batch by batch; a few
    # values differ by a gray level.
    colors: Literal["loader", "device"] = "loader"


class Method(Section):
    """Pre-training task, on a filtered or a degraded image."""

    filter: FilterSettings | None = None
    degradation: DegradationSettings | None = None
    reconstruction: Reconstruction
    distillation: Distillation | None

    @property
    def num_views(self) -> int:
        """Number of views of each image."""
        return 1 if self.distillation is None else 2

    @property
    def has_spatial_views(self) -> bool:
        """True if each view comes a second time, cropped and flipped only."""
        return self.distillation is not None and self.distillation.teacher_view == "spatial"

    @property
    def other_encoder(self) -> str | None:
        """The one of student and teacher that is saved but not evaluated."""
        if self.distillation is None:
            return None
        return "student" if self.distillation.encoder == "teacher" else "teacher"

    @model_validator(mode="after")
    def _one_way_to_spoil_an_image(self) -> "Method":
        if (self.filter is None) == (self.degradation is None):
            found = "none" if self.filter is None else "both"
            raise ValueError(f"expected one of 'filter' and 'degradation', got {found}")
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


class PretrainRecipe(Recipe):
    """Pre-training of one encoder; without a method it keeps its initial weights."""

    encoder: Encoder
    method: Method | None
    views: Views
    optim: Optim | None
    runtime: TrainingRuntime

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
