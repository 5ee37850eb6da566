"""MMSegmentation's distortion of colors."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from folk.data.color import Colors


@dataclass(frozen=True)
class PhotometricDistortion:
    """Brightness, contrast, saturation and hue, each half of the time.

    Contrast comes before saturation and hue or after them, with equal probability. Colors are
    clipped to their range after each step.

    Attributes:
        brightness: added, uniform in +- this, gray levels of 255.
        contrast: every color is multiplied, uniform in 1 +- this.
        saturation: the S of HSV is multiplied, uniform in 1 +- this.
        hue: the H of HSV is shifted, uniform in +- this, turns of the color circle.

    Source: PhotoMetricDistortion of open-mmlab/mmsegmentation with its defaults, which BEiT's
        configuration for ADE20K uses: 32 gray levels, 0.5 to 1.5 twice, 18 of OpenCV's 180 hues. We
        differ in the steps of hue and saturation: 256, as Pillow has them.
    """

    brightness: float = 32.0
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.1

    def __call__(self, colors: Colors, rng: np.random.Generator) -> Colors:
        """Distort."""
        pixels = colors.astype(np.float32)
        if _fair(rng):
            pixels = _cut(pixels + rng.uniform(-self.brightness, self.brightness))
        contrast = rng.uniform(1.0 - self.contrast, 1.0 + self.contrast) if _fair(rng) else 1.0
        first = _fair(rng)
        if first:
            pixels = _cut(pixels * contrast)
        saturation = rng.uniform(1.0 - self.saturation, 1.0 + self.saturation) if _fair(rng) else 1
        hue = rng.uniform(-self.hue, self.hue) if _fair(rng) else 0.0
        if saturation != 1 or hue != 0.0:
            image = Image.fromarray(pixels.astype(np.uint8))
            hsv = np.array(image.convert("HSV"), dtype=np.float32)
            hsv[..., 0] = (hsv[..., 0] + round(hue * 256.0)) % 256.0
            hsv[..., 1] = _cut(hsv[..., 1] * saturation)
            back = Image.merge(
                "HSV", [Image.fromarray(c) for c in np.moveaxis(hsv.astype(np.uint8), 2, 0)]
            ).convert("RGB")
            pixels = np.asarray(back, dtype=np.float32)
        if not first:
            pixels = _cut(pixels * contrast)
        return pixels.astype(np.uint8)


def _fair(rng: np.random.Generator) -> bool:
    """Draw True or False, each with probability 1/2."""
    return bool(rng.random() < 0.5)


def _cut(values: np.ndarray) -> np.ndarray:
    return values.clip(0.0, 255.0).round()
