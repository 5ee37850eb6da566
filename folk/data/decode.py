"""From encoded bytes to pixels, or to an error that says whose bytes they are."""

import io
import struct
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from folk.errors import InputError

# Remarks about odd metadata, of which ImageNet has many: the pixels decide.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# Everything that Pillow's readers raise on bytes that are cut short, damaged or something else.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)


def decode_picture(data: bytes, *, where: Callable[[], str]) -> Image.Image:
    """Decode a picture of any format Pillow reads to upright RGB.

    CMYK, palettes and grey become RGB; transparency is dropped; the EXIF orientation is applied.

    Args:
        data: the encoded picture.
        where: says file, or key and shard, for the error; called only then.

    Raises:
        InputError: the bytes are not a whole picture.
    """
    try:
        picture: Image.Image = Image.open(io.BytesIO(data))
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    except _UNREADABLE as error:
        raise InputError(_refusal(where(), "a whole picture", error)) from error


def check_picture(data: bytes, *, where: Callable[[], str]) -> None:
    """Refuse what `decode_picture` refuses, for a third of its time where it is a JPEG.

    Every bit of it is decoded, but each block of 8 by 8 pixels to a single grey one.

    Raises:
        InputError: the bytes are not a whole picture.
    """
    try:
        picture = Image.open(io.BytesIO(data))
        picture.draft("L", (1, 1))
        # At once: Pillow takes Python's lock again for each part, which holds up other threads.
        picture.decodermaxblock = max(len(data), picture.decodermaxblock)
        picture.load()
    except _UNREADABLE as error:
        raise InputError(_refusal(where(), "a whole picture", error)) from error


def decode_annotation(data: bytes, *, where: Callable[[], str]) -> Image.Image:
    """Decode a picture of class ids, one byte a pixel.

    Raises:
        InputError: the bytes are not such a picture.
    """
    try:
        annotation = Image.open(io.BytesIO(data))
        annotation.load()
    except _UNREADABLE as error:
        raise InputError(_refusal(where(), "a whole annotation", error)) from error
    if annotation.mode not in ("L", "P"):  # a palette only colours the ids
        raise InputError(
            f"{where()}: an annotation is a grey picture of class ids, this is {annotation.mode}"
        )
    if annotation.mode == "P":
        return Image.fromarray(np.asarray(annotation))
    return annotation


def _refusal(where: str, what: str, error: Exception) -> str:
    # Pillow's own text may name a memory address, which helps nobody.
    reason = type(error).__name__ if "BytesIO" in str(error) else " ".join(str(error).split())
    return f"{where}: not {what} ({reason}); replace or remove it"
