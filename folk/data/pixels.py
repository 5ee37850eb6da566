"""Images as uint8 tensors: decode, crop, resize, stack.

Images are channels-last in memory, as decoders write them: torch resizes three bytes a pixel with
vector instructions, several times faster than Pillow, and nothing is turned into planes before the
batch is on its device. Other strides give the same values, only slower.
"""

import contextlib
import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import default_collate
from torchvision.io import decode_jpeg

from folk.data.decode import decode_image

# Of any height and width: what goes into a function and what comes out may differ in both.
Pixels = UInt8[Tensor, "3 _h _w"]

Interpolation = Literal["bilinear", "bicubic"]

# torchvision's decoders have moved to torchcodec, under the same names and with the same values.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torchvision\.io")

_JPEG = b"\xff\xd8\xff"


def decode_pixels(data: bytes, *, where: Callable[[], str]) -> Pixels:
    """Decode an image to RGB, with the values of `decode_image`.

    Args:
        data: the encoded image, of one of `folk.data.decode.FORMATS`.
        where: describes file, or key and shard, for the error; called only then.

    Raises:
        InputError: as `decode_image`.
    """
    if data.startswith(_JPEG):
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        # Pillow reads some of what this decoder rejects, and otherwise gives a better error.
        with contextlib.suppress(RuntimeError):
            pixels: Tensor = decode_jpeg(encoded, apply_exif_orientation=False)
            if len(pixels) in (1, 3):  # CMYK has four, and is left to Pillow
                return pixels.expand(3, -1, -1)
    return to_pixels(decode_image(data, where=where))


def to_pixels(image: Image.Image) -> Pixels:
    """Copy an RGB image to a new tensor."""
    return from_array(np.array(image))


def to_array(pixels: Pixels) -> UInt8[np.ndarray, "_h _w 3"]:
    """View or copy a tensor as rows of RGB pixels; no copy if it is channels-last."""
    array: np.ndarray = pixels.permute(1, 2, 0).contiguous().numpy()
    return array


def from_array(colors: UInt8[np.ndarray, "_h _w 3"]) -> Pixels:
    """View an array as a tensor, without a copy."""
    return torch.from_numpy(colors).permute(2, 0, 1)


def to_pil(pixels: Pixels) -> Image.Image:
    """Copy a tensor to a Pillow image."""
    return Image.fromarray(to_array(pixels))


def resized(
    pixels: Pixels, height: int, width: int, interpolation: Interpolation = "bicubic"
) -> Pixels:
    """Resize with Pillow's filter; a value differs by 1, rarely 2, here and there."""
    if pixels.shape[1:] == (height, width):
        return pixels
    dense = pixels.unsqueeze(0).contiguous(memory_format=torch.channels_last)
    return interpolate(dense, size=(height, width), mode=interpolation, antialias=True).squeeze(0)


def stacked(images: list[Pixels]) -> UInt8[Tensor, "b 3 h w"]:
    """Stack images of one size to a batch in channels-last memory.

    In a worker process the batch is made in shared memory, which saves a copy.
    """
    batch: Tensor = default_collate([pixels.permute(1, 2, 0) for pixels in images])
    return batch.permute(0, 3, 1, 2)
