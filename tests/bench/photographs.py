"""Images like ImageNet's, for what reads, decodes or stores them."""

import io

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image

WIDTH, HEIGHT = 500, 375  # pixels, the most frequent size
# Without subsampled colors they have 105 kB on average; ImageNet's have 110.
QUALITY, SUBSAMPLING = 96, 0


def photographs(number: int, seed: int = 0) -> list[bytes]:
    """JPEGs of ImageNet's usual size and weight: random parts of a few photographs."""
    rng = np.random.default_rng(seed)
    whole = [*sklearn.datasets.load_sample_images().images]
    whole += [getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee")]
    made = []
    for i in range(number):
        photograph = Image.fromarray(whole[i % len(whole)])
        width = int(min(photograph.width, photograph.height * 4 / 3) * rng.uniform(0.7, 1.0))
        height = width * 3 // 4
        left = int(rng.integers(photograph.width - width + 1))
        top = int(rng.integers(photograph.height - height + 1))
        part = photograph.crop((left, top, left + width, top + height))
        buffer = io.BytesIO()
        part.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(
            buffer, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING
        )
        made.append(buffer.getvalue())
    return made
