"""Decoding of images and annotations, with errors that name their source; encoding."""

import contextlib
import io
import struct
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile

from folk.evidence.core.errors import InputError, brief

# The formats of torchvision's ImageFolder, and GIF; the bytes decide, not the name. Pillow's other
# readers stay closed: that of EPS lets Ghostscript run the program inside such a file.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Known from the first bytes, so no memory is spent on more: 270 MB as RGB. Pillow begins to warn
# here; no image of ImageNet or ADE20K is so large.
MAX_PIXELS = 89_478_485
# Longer over shorter side, from which on an image would fill the memory when its shorter side is
# resized to hundreds of pixels.
MAX_RATIO = 32

# Warnings about odd metadata, of which ImageNet has many; only the pixels matter.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Such images are rejected.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode_image(data: bytes, *, where: Callable[[], str]) -> Image.Image:
    """Decode an image of one of `FORMATS` to RGB, as ImageFolder and timm see it.

    CMYK, palettes and gray become RGB; transparency is dropped, and what it hid is seen; of an
    animation the first image counts. Rows and columns stay as they are stored, whatever the EXIF
    orientation says: so do ImageFolder, with which ImageNet's methods are trained and ImageNet-C
    was made, and timm, and an annotation has no orientation. (OpenCV, which MMSegmentation reads
    with, would turn the image.) We differ in 16-bit gray: its upper 8 bits count, as Pillow has
    it for 16-bit colors, where ImageFolder turns nearly all of it white.

    Args:
        data: the encoded image.
        where: describes file, or key and shard, for the error; called only then.

    Raises:
        InputError: the bytes are not a whole image, have more than `MAX_PIXELS`, or have pixels
            of 32 bits.
    """
    with _refused(where, "a whole image"):
        image: Image.Image = _opened(data, where)
        image.load()
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return image if image.mode == "RGB" else image.convert("RGB")


def check_image(data: bytes, *, where: Callable[[], str]) -> None:
    """Reject what `decode_image` rejects, in a third of its time for a JPEG.

    Every bit of it is decoded, but each block of 8 by 8 pixels to a single gray one.

    Raises:
        InputError: as `decode_image`.
    """
    with _refused(where, "a whole image"):
        image = _opened(data, where)
        image.draft("L", (1, 1))
        # At once: Pillow takes Python's lock again for each part, which holds up other threads.
        image.decodermaxblock = max(len(data), image.decodermaxblock)
        image.load()


def decode_annotation(data: bytes, *, where: Callable[[], str]) -> Image.Image:
    """Decode an image of class ids, one byte a pixel.

    Raises:
        InputError: the bytes are not such an image.
    """
    with _refused(where, "a whole annotation"):
        annotation = _opened(data, where)
        annotation.load()
    if annotation.mode not in ("L", "P"):  # a palette only colors the ids
        raise InputError(
            f"{where()}: expected a gray annotation of class ids, got mode {annotation.mode}"
        )
    if annotation.format == "PNG" and annotation.mode == "L" and data[_PNG_DEPTH] < 8:
        # Pillow stretches them to 0-255, and id 1 would become another class.
        raise InputError(
            f"{where()}: expected class ids of 8 bits, got {data[_PNG_DEPTH]}; store them with 8"
        )
    if annotation.mode == "P":
        return Image.fromarray(np.asarray(annotation))
    return annotation


def encoded_png(pixels: UInt8[np.ndarray, "..."]) -> bytes:
    """Encode pixels, or class ids, as a PNG."""
    buffer = io.BytesIO()
    # Level 1 gives files as small as 6 here, in half the time.
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


_PNG_DEPTH = 24  # offset of the byte that holds the bit depth


def _opened(data: bytes, where: Callable[[], str]) -> ImageFile.ImageFile:
    """Read the header, and reject what must not be decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        too_large = image.width * image.height > MAX_PIXELS
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # far more
        too_large = True
    if too_large:
        raise InputError(
            f"{where()}: more than {MAX_PIXELS} pixels, the limit; shrink or remove it"
        )
    if image.mode in ("I", "F"):
        raise InputError(
            f"{where()}: pixels of 32 bits are not supported; store the image with 8 bits per color"
        )
    return image


@contextlib.contextmanager
def _refused(where: Callable[[], str], what: str) -> Iterator[None]:
    """Name the source of what Pillow cannot read."""
    try:
        yield
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        # Pillow's own text may hold a memory address, which does not help.
        reason = type(error).__name__ if "BytesIO" in str(error) else brief(error)
        message = f"{where()}: expected {what} ({reason}); replace or remove it"
        raise InputError(message) from error
