"""Images as the world has them: each is read as it should be, or refused by its name."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from folk.data import transforms
from folk.data.dataset import ImageDataset
from folk.data.datasets import miniature
from folk.data.datasets.kinds import read_archives
from folk.data.datasets.miniature import image, write_archive
from folk.data.decode import MAX_PIXELS, check_image, decode_annotation, decode_image
from folk.data.joint import SegmentEvalTransform, SegmentTransform
from folk.data.pixels import decode_pixels
from folk.data.prepare import prepare_image_folder
from folk.data.shards import ImageTable, PreparedData
from folk.data.store import store_images
from folk.data.transforms import EvalTransform, FinetuneTransform, view_transforms
from folk.data.writer import write_shard
from folk.evidence.core.errors import InputError
from tests.faults.table import fault
from tests.toy import encoded

HERE = {"where": lambda: "train/ant/0.jpg"}


def gradient(width=24, height=16):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def image_folder(folder, files):
    """Two classes, an image of each in both splits, and these files besides or instead."""
    colors = iter(range(0, 250, 40))
    plain = {
        f"{split}/{cls}/0.png": encoded(Image.new("RGB", (8, 8), (next(colors), 9, 9)))
        for split in ("train", "val")
        for cls in ("ant", "bee")
    }
    for name, data in (plain | files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def seen_by_training(data):
    """What the preparation lets in, as training decodes it."""
    check_image(data, **HERE)
    pixels = decode_pixels(data, **HERE)
    assert torch.equal(
        pixels, torch.from_numpy(np.array(decode_image(data, **HERE))).permute(2, 0, 1)
    )
    return pixels


def refused(data, message):
    for read in (check_image, decode_image, decode_pixels):
        with pytest.raises(InputError, match=message) as error:
            read(data, **HERE)
        assert str(error.value).startswith("train/ant/0.jpg: ")
        assert "\n" not in str(error.value)


# What Pillow makes of an image when it is told `convert("RGB")`, as ImageFolder and timm do.


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            encoded(gradient().convert("CMYK"), "JPEG"),
            id="cmyk",
            marks=fault("Images", "CMYK", "becomes RGB, with Pillow's values"),
        ),
        pytest.param(
            encoded(gradient().quantize(16)),
            id="palette",
            marks=fault("Images", "a palette", "becomes RGB"),
        ),
        pytest.param(
            encoded(gradient().quantize(16), transparency=bytes(range(16))),
            id="palette with transparency",
            marks=fault("Images", "a palette with transparency", "becomes RGB; nothing is hidden"),
        ),
        pytest.param(
            encoded(gradient().convert("L"), "JPEG"),
            id="gray",
            marks=fault("Images", "gray", "becomes RGB with three equal colors"),
        ),
        pytest.param(
            encoded(Image.merge("LA", (gradient().convert("L"), gradient().convert("L")))),
            id="gray and alpha",
            marks=fault("Images", "gray with transparency", "becomes RGB; nothing is hidden"),
        ),
        pytest.param(
            encoded(Image.merge("RGBA", (*gradient().split(), gradient().convert("L")))),
            id="alpha",
            marks=fault(
                "Images",
                "colors with transparency",
                "transparency is dropped, as ImageFolder does: what it hid is seen",
            ),
        ),
        pytest.param(
            encoded(gradient().convert("1")),
            id="one bit",
            marks=fault("Images", "one bit a pixel", "becomes black and white RGB"),
        ),
    ],
)
def test_an_image_in_another_form_of_color_has_the_values_that_imagefolder_gives(data):
    expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))

    assert np.array_equal(seen_by_training(data).permute(1, 2, 0).numpy(), expected)


@fault(
    "Images",
    "16 bits of gray",
    "the upper 8 bits count; Pillow's own conversion would make nearly all of it white",
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_16_bits_the_upper_8_count(kind):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000

    pixels = seen_by_training(encoded(Image.fromarray(values), kind))

    assert np.array_equal(pixels[0].numpy(), values >> 8)
    assert torch.equal(pixels[0], pixels[2])


@fault(
    "Images", "32 bits a pixel, whole numbers or fractions", "refused: nothing says what is white"
)
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_of_32_bits_are_refused(kind):
    refused(encoded(Image.fromarray(np.ones((4, 4), dtype=kind)), "TIFF"), "32 bits")


@fault(
    "Images",
    "an EXIF orientation",
    "not applied: rows and columns stay as stored, as ImageFolder and timm have it",
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_is_not_turned_by_its_orientation(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    image = gradient(24, 16)

    turned, plain = (encoded(image, kind, **options) for options in ({"exif": exif}, {}))

    assert Image.open(io.BytesIO(turned)).getexif()[0x0112] == 6
    assert torch.equal(seen_by_training(turned), seen_by_training(plain))


@fault("Images", "an animation (GIF, PNG, WebP)", "its first image counts")
@pytest.mark.parametrize(
    ("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})]
)
def test_of_an_animation_the_first_image_counts(kind, options):
    frames = [Image.new("RGB", (16, 8), color) for color in ("red", "blue", "lime")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3

    assert torch.equal(seen_by_training(data), seen_by_training(encoded(frames[0])))


@fault("Images", "a file with a wrong extension", "its bytes decide, not its name")
def test_the_bytes_decide_and_not_the_name(tmp_path):
    png = encoded(gradient())
    source = image_folder(tmp_path / "in", {"train/ant/1.jpg": png, "train/ant/2.txt": png})

    assert prepare_image_folder(source, tmp_path / "out")["train"] == 4


@fault(
    "Images",
    "a program that Pillow could run as an image (EPS), with or without the name of a JPEG",
    "refused; nothing is run",
)
def test_an_image_that_is_a_program_is_not_run(monkeypatch):
    def ghostscript(*_arguments, **_options):
        raise AssertionError("was run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    head = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"

    refused(head + b"showpage\n", "expected a whole image")


# Very small, very large, very long.


def png_that_says(width, height, bits=8, color=2, pixels=bytes(100)):
    """A PNG of a few bytes that claims to have so many pixels, of so many bits and this kind."""

    def part(name, data):
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = part(b"IHDR", head) + part(b"IDAT", zlib.compress(pixels)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@fault(
    "Images",
    f"a decompression bomb: 30,000 by 30,000 pixels, or any more than {MAX_PIXELS:,}".replace(
        ",", " "
    ),
    "refused before a pixel is decoded; memory stays below 270 MB an image",
)
@pytest.mark.parametrize(
    "data",
    [
        png_that_says(30_000, 30_000),
        png_that_says(10_000, MAX_PIXELS // 10_000 + 1),
        b"P6 30000 30000 255\n" + bytes(100),
        b"GIF89a" + struct.pack("<HH", 30_000, 30_000) + encoded(gradient(), "GIF")[10:],
    ],
    ids=["png", "just too large", "ppm", "gif"],
)
def test_an_image_with_too_many_pixels_is_refused_by_its_head(data):
    refused(data, f"more than {MAX_PIXELS} pixels")
    with pytest.raises(InputError, match=f"more than {MAX_PIXELS} pixels"):
        decode_annotation(data, **HERE)


EVERY_TRANSFORM = {
    "evaluation": EvalTransform(resize=48, crop=32),
    "mfm": view_transforms("mfm", size=32, min_scale=0.2, num_views=1),
    "dino": view_transforms("dino", size=32, min_scale=0.2, jitter=1.0, num_views=2),
    "fine-tuning": FinetuneTransform(
        size=32, min_scale=0.08, rand_augment="rand-m9-mstd0.5-inc1", random_erasing=1.0
    ),
}


@pytest.mark.parametrize(
    ("width", "height"),
    [
        pytest.param(1, 1, marks=fault("Images", "1 by 1 pixel", "becomes an image of one color")),
        pytest.param(
            30_000,
            1,
            marks=fault(
                "Images",
                "30,000 pixels wide and 1 high",
                "its middle is used; never more than 32 times the shorter side is resized",
            ),
        ),
        (1, 30_000),
    ],
)
@pytest.mark.parametrize("transform", EVERY_TRANSFORM.values(), ids=EVERY_TRANSFORM)
def test_a_tiny_or_endless_image_fills_a_batch_and_not_the_memory(
    tmp_path, monkeypatch, transform, width, height
):
    sizes = []
    resized = transforms.resized

    def watched(pixels, to_height, to_width):
        sizes.append(to_height * to_width)
        return resized(pixels, to_height, to_width)

    monkeypatch.setattr(transforms, "resized", watched)
    image = encoded(Image.new("RGB", (width, height), (10, 200, 30)))
    source = image_folder(tmp_path / "in", {"train/ant/0.png": image})
    prepare_image_folder(source, tmp_path / "out")

    views = ImageDataset(PreparedData.open(tmp_path / "out").split("train"), transform)[0]["image"]

    for view in views if isinstance(views, list) else [views]:
        assert view.shape == (3, 32, 32)
    assert max(sizes, default=0) <= 32 * 48 * 48
    if transform is EVERY_TRANSFORM["evaluation"]:
        assert views[:, 16, 16].tolist() == [10, 200, 30]


def test_the_middle_of_a_long_image_is_what_the_whole_would_give():
    image = np.zeros((4, 800, 3), dtype=np.uint8)
    image[:, 390:410] = np.random.default_rng(0).integers(0, 256, (4, 20, 3), dtype=np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    assert transforms.MAX_RATIO * 4 < 800
    evaluate = EvalTransform(resize=8, crop=8)

    found = evaluate(pixels, np.random.default_rng(0))

    whole = transforms.F.center_crop(transforms.resized(pixels, 8, 1600), [8, 8])
    assert torch.equal(found, whole)


# Folders.


@fault("Images", "a folder of images with none in it", "refused")
def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "in/train").mkdir(parents=True)

    with pytest.raises(InputError, match="train: no classes; make one sub-folder"):
        prepare_image_folder(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@fault(
    "Images",
    "the same image in train and val, byte for byte",
    "a warning in the log with the number and the first names, and an entry in dataset.json; "
    "not refused",
)
def test_images_that_are_learned_from_and_measured_are_told(tmp_path, capsys):
    shared = {f"{i}.png": encoded(Image.new("RGB", (9, 9), (i, 0, 0))) for i in range(10, 15)}
    files = {f"train/ant/{name}": data for name, data in shared.items()}
    files |= {f"val/bee/of-{name}": data for name, data in shared.items()}

    prepare_image_folder(image_folder(tmp_path / "in", files), tmp_path / "out")

    (line,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert "5 of 7 images of split 'val' are, byte for byte, training images too" in line
    assert "val/bee/of-10.png (= train/ant/10.png), " in line
    said = json.loads((tmp_path / "out/dataset.json").read_text())["also_learned_from"]
    assert said["val"]["images"] == 5
    assert said["val"]["first"][2] == ["val/bee/of-12.png", "train/ant/12.png"]
    PreparedData.open(tmp_path / "out")


def test_images_that_differ_are_not_told(tmp_path, capsys):
    prepare_image_folder(image_folder(tmp_path / "in", {}), tmp_path / "out")

    assert "warning" not in capsys.readouterr().err
    assert "also_learned_from" not in json.loads((tmp_path / "out/dataset.json").read_text())


# Archives.


def stored(kind, archives, out, classes):
    contents = read_archives(kind, archives, classes)
    return store_images(contents, out, name="x", sources=[], identity="a")


def test_images_of_archives_that_are_learned_from_and_measured_are_told(tmp_path, capsys):
    val = miniature.validation_images(4)
    train = miniature.imagenet_images()
    first = next(iter(val))
    wnid, of_class = next(iter(train.items()))
    train[wnid] = of_class | {next(iter(of_class)): val[first]}

    stored(
        "imagenet", miniature.imagenet(tmp_path / "in", train=train, val=val), tmp_path / "out", 3
    )

    assert "1 of 4 images of split 'val'" in capsys.readouterr().err


@fault("Images", "two images of one key, far apart in an archive", "refused, by the key")
def test_a_key_that_is_there_twice_is_refused_wherever_it_stands(tmp_path):
    files = {
        "a/n01440764/1.jpg": image(1),
        "a/n01443537/1.jpg": image(2),
        "b/n01440764/1.jpg": image(3),
    }
    path = write_archive(tmp_path / "a.tar", files)

    with pytest.raises(InputError, match=r"1 duplicate keys: val/n01440764/1\.jpg"):
        stored("imagenet-a", {"images": path}, tmp_path / "out", 2)
    assert not (tmp_path / "out/dataset.json").exists()


# Annotations.


def table_of(folder, image, annotation):
    path = folder / "train-00000.arrow"
    write_shard(path, [("train/0", -1, image, annotation)])
    return ImageTable([path])


def ids(values):
    return encoded(Image.fromarray(np.array(values, dtype=np.uint8)))


@fault(
    "Images",
    "a shard whose annotation has another size than its image",
    "refused when it is read, by key and shard",
)
@pytest.mark.parametrize(
    "transform", [SegmentTransform(crop=8, scale=(1.0, 1.0)), SegmentEvalTransform(size=8)]
)
def test_an_annotation_of_another_size_is_refused_when_it_is_read(tmp_path, transform):
    table = table_of(tmp_path, encoded(gradient(24, 16)), ids(np.zeros((24, 16))))

    with pytest.raises(InputError, match=r"train/0: annotation size \(16, 24\) differs from image"):
        ImageDataset(table, transform, num_segmentation_classes=3)[0]


@fault(
    "Images",
    "class ids of 1, 2 or 4 bits, which Pillow stretches to other ids",
    "refused",
)
def test_class_ids_of_less_than_a_byte_are_refused():
    data = png_that_says(2, 1, bits=4, color=0, pixels=b"\0\x12")
    assert np.asarray(Image.open(io.BytesIO(data))).tolist() == [[17, 34]]  # stands for 1 and 2

    with pytest.raises(InputError, match="expected class ids of 8 bits, got 4; store them with 8"):
        decode_annotation(data, **HERE)


@fault(
    "Images",
    "an image to segment that is more than 32 times as long as wide",
    "refused by the preparation, because it is segmented whole",
)
def test_an_endless_image_to_segment_is_refused(tmp_path):
    files = miniature.ade20k_files()
    root = "ADEChallengeData2016"
    files[f"{root}/images/validation/ADE_val_00000001.jpg"] = encoded(gradient(330, 10), "JPEG")
    files[f"{root}/annotations/validation/ADE_val_00000001.png"] = ids(np.ones((10, 330)))
    archives = {"images": write_archive(tmp_path / "ade.zip", files)}

    with pytest.raises(InputError, match=r"ADE_val_00000001\.jpg: 330 x 10 pixels; .* 32 times"):
        stored("ade20k", archives, tmp_path / "out", 150)
