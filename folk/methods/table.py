"""The degradation of each kind."""

from folk.methods.degradations import Deblur, Degradation, Denoise, SuperResolution

DEGRADATIONS: dict[str, type[Degradation]] = {
    SuperResolution.kind: SuperResolution,
    Deblur.kind: Deblur,
    Denoise.kind: Denoise,
}
