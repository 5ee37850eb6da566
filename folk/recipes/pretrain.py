"""Recipe of `pretrain`: filter, reconstruction and distillation are separate switches."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from folk.recipes.base import (
    Count,
    Encoder,
    Fraction,
    NotNegative,
    Optim,
    Positive,
    Recipe,
    TrainingRuntime,
)
from folk.yaml_model import Section


class Radial(Section):
    """MFM's fixed circle."""

    kind: Literal["radial"]
    radius: Positive  # bins at `radius_size`
    radius_size: Count  # picture side at which `radius` holds; scaled to other sizes
    radius_outer: Positive | None
    low_pass_prob: Fraction


class ComRCom(Section):
    """FOLK's masks, chosen from each picture's own spectrum."""

    kind: Literal["com-rcom"]
    thresholds: list[Annotated[float, Field(gt=0.0, lt=1.0)]] = Field(min_length=1)
    threshold_mode: Literal["fraction", "relative_max"]
    threshold_draw: Literal["view", "image", "batch"]
    p_com: Fraction
    com_keeps: Literal["largest", "smallest"]
    pairing: Literal["independent", "one_of_each"]
    gray: Literal["bt601", "mean"]
    mask_channels: Literal["shared", "per_channel"]
    dc: Literal["by_magnitude", "always_keep"]


class Reconstruction(Section):
    """Predict the frequencies that the filter removed."""

    weight: NotNegative
    clamp: bool
    inverse: Literal["real", "abs"]
    region: Literal["masked", "all"]
    normalise: Literal["batch", "image"]
    gamma: Positive


class Distillation(Section):
    """Predict the teacher's view of the other crop."""

    weight: NotNegative
    feature: Literal["cls", "mean"]
    out_dim: Count
    hidden_dim: Count
    bottleneck_dim: Count
    student_temperature: Positive
    teacher_temperature: Positive
    teacher_temperature_start: Positive
    teacher_temperature_warmup_epochs: NotNegative
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
    jitter: NotNegative  # strength of the colour jitter relative to DINO's; 0 is none


class Method(Section):
    """What is learned."""

    filter: Radial | ComRCom = Field(discriminator="kind")
    reconstruction: Reconstruction
    distillation: Distillation | None


class PretrainRecipe(Recipe):
    """How one encoder comes to be; without a method it is left as it was initialised."""

    encoder: Encoder
    method: Method | None
    views: Views
    optim: Optim | None
    runtime: TrainingRuntime

    @model_validator(mode="after")
    def _trained_or_not(self) -> "PretrainRecipe":
        if (self.method is None) != (self.optim is None):
            raise ValueError(
                "give both 'method' and 'optim', or null for both (an untrained encoder)"
            )
        return self
