"""Features of a folder of images by a stored encoder, as a parquet file."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch
from jaxtyping import UInt8
from torch import Tensor

from folk import __version__
from folk.data.pixels import decode_pixels, stacked
from folk.data.transforms import EvalTransform, unit_range
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write
from folk.models.encoder import load_encoder
from folk.models.frozen import Feature, frozen_feature
from folk.stages.images import normalize
from folk.training.distributed import set_numerics

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def embed(
    images: Path, encoder: Path, out: Path, *, feature: Feature, batch: int, device: torch.device
) -> tuple[int, int]:
    """Write the feature of every image of a folder, by name.

    The shorter side of an image is resized to the encoder's size and the center cut out; colors are
    normalized as `encoder.json` states. The file has `key`, the path below `images`, and
    `feature`, a list of float32 of one length; its metadata name the encoder and the versions.

    Args:
        images: folder; images of all sub-folders count, hidden files and other suffixes do not.
        out: the parquet file, written atomically.
        feature: which one, as of `frozen_feature`.

    Returns:
        number of images, and length of a feature.

    Raises:
        InputError: no encoder, no image, an image that cannot be read, or a name that is no UTF-8.
    """
    keys = sorted(_keys(images))
    if not keys:
        known = " ".join(SUFFIXES)
        raise InputError(f"{images}: no image in this folder; expected files {known}")
    set_numerics(device.type == "cuda", deterministic=False)
    model, info = load_encoder(encoder)
    model = model.to(device).eval()
    size = info.input_size[-1]
    transform, unused = EvalTransform(resize=size, crop=size), np.random.default_rng()

    def pixels_of(key: str) -> UInt8[Tensor, "3 h w"]:
        path = images / key
        return transform(decode_pixels(path.read_bytes(), where=lambda: str(path)), unused)

    def rows(pool: ThreadPoolExecutor) -> Iterator[pa.Table]:
        for start in range(0, len(keys), batch):
            part = keys[start : start + batch]
            shown = unit_range(stacked(list(pool.map(pixels_of, part))).to(device))
            with torch.inference_mode():
                found = frozen_feature(model, normalize(shown, info.mean, info.std), feature)
            values = found.float().cpu().numpy()
            lists = pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])
            yield pa.table({"key": part, "feature": lists})

    metadata = {
        "encoder_sha256": info.sha256,
        "run": info.run,
        "method": info.method,
        "timm_name": info.timm_name,
        "feature": feature,
        "size": str(size),
        "device": device.type,
        "folk": __version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
    }
    with ThreadPoolExecutor() as pool, atomic_write(out) as temp:
        tables = rows(pool)
        first = next(tables)
        schema = first.schema.with_metadata(metadata)
        with pq.ParquetWriter(temp, schema) as writer:
            for table in (first, *tables):
                writer.write_table(table)
    return len(keys), schema.field("feature").type.list_size


def _keys(images: Path) -> Iterator[str]:
    """Yield the paths of the images below a folder, relative to it."""
    for path in images.rglob("*"):
        key = path.relative_to(images)
        hidden = any(part.startswith(".") for part in key.parts)
        if path.suffix.lower() not in SUFFIXES or hidden or not path.is_file():
            continue
        try:
            key.as_posix().encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{path}: its name is no UTF-8; rename it") from error
        yield key.as_posix()
