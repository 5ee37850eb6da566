"""Tensors hold what Pillow would have made of the same bytes."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from folk.data.dataset import collate
from folk.data.decode import check_image, decode_image
from folk.data.pixels import decode_pixels, resized, stacked, to_pil, to_pixels
from folk.data.transforms import unit_range
from folk.evidence.core.errors import InputError
from tests.toy import encoded


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(load_sample_image("china.jpg")).crop((60, 20, 341, 230))


def orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


FORMS = {
    "4:2:0": lambda p: encoded(p, "JPEG", quality=90, subsampling=2),
    "4:4:4": lambda p: encoded(p, "JPEG", quality=95, subsampling=0),
    "progressive": lambda p: encoded(p, "JPEG", progressive=True),
    "gray": lambda p: encoded(p.convert("L"), "JPEG"),
    "cmyk": lambda p: encoded(p.convert("CMYK"), "JPEG"),
    "png": lambda p: encoded(p),
    "png with transparency": lambda p: encoded(p.convert("RGBA")),
    **{f"turned {n}": lambda p, n=n: encoded(p, "JPEG", exif=orientation(n)) for n in range(2, 9)},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_pixels_are_those_of_pillow(photo, form):
    data = form(photo)

    pixels = decode_pixels(data, where=str)
    image = decode_image(data, where=str)

    assert torch.equal(pixels, to_pixels(image))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:200],
        lambda data: data[:3],
        lambda data: b"",
        lambda data: b"\x89PNG" + data,
    ],
)
def test_bytes_that_are_no_whole_image_are_refused_in_pillows_words(photo, damage):
    data = damage(encoded(photo, "JPEG"))

    with pytest.raises(InputError) as expected:
        decode_image(data, where=lambda: "here")
    with pytest.raises(InputError, match=r"^here: expected a whole image") as found:
        decode_pixels(data, where=lambda: "here")
    assert str(found.value) == str(expected.value)
    with pytest.raises(InputError, match=r"^here: expected a whole image"):
        check_image(data, where=lambda: "here")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_check_before_storing_refuses_what_ends_too_early(photo, form):
    data = form(photo)

    check_image(data, where=str)
    # Not closer to the end: a JPEG without its last bytes may still have all its pixels.
    for kept in (0.3, 0.7, 0.97):
        cut_short = data[: int(kept * len(data))]
        with pytest.raises(InputError, match="expected a whole image"):
            decode_image(cut_short, where=str)
        with pytest.raises(InputError, match="expected a whole image"):
            check_image(cut_short, where=str)


@pytest.mark.parametrize("part", [(0, 0, 210, 281), (10, 31, 150, 170), (5, 7, 60, 71)])
@pytest.mark.parametrize("side", [224, 96, 32])
def test_resizing_is_pillows_but_for_the_last_bit(photo, part, side):
    top, left, height, width = part
    image = photo.crop((left, top, left + width, top + height))
    expected = to_pixels(image.resize((side, side), Image.Resampling.BICUBIC))

    found = resized(to_pixels(photo)[:, top : top + height, left : left + width], side, side)

    apart = (found.int() - expected.int()).abs()
    assert apart.max() <= 2  # where both sharpen an edge, in two roundings each
    assert apart.float().mean() < 0.01


def test_the_order_in_memory_does_not_change_a_value(photo):
    interleaved = to_pixels(photo)
    planes = interleaved.contiguous()
    assert planes.stride() != interleaved.stride()

    assert torch.equal(resized(planes, 50, 60), resized(interleaved, 50, 60))
    assert np.array_equal(np.asarray(to_pil(planes)), np.asarray(photo))
    assert torch.equal(stacked([planes, planes]), stacked([interleaved, interleaved]))


def test_a_batch_keeps_values_and_becomes_planes_on_its_way_to_floats(photo):
    views = [to_pixels(photo.resize((24, 16))), to_pixels(photo.resize((24, 16)).rotate(180))]

    batch = collate([{"image": view, "label": 0, "index": 0} for view in views])["image"]
    floats = unit_range(batch)

    assert torch.equal(batch, torch.stack([view.contiguous() for view in views]))
    assert torch.equal((floats * 255).round().to(torch.uint8), batch)
    assert floats.is_contiguous()
