"""Each official archive becomes the splits, labels and classes that its makers meant."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from folk.data.datasets import miniature
from folk.data.datasets.kinds import read_archives
from folk.data.datasets.miniature import WNIDS, image, write_archive
from folk.data.decode import decode_image
from folk.data.prepare import prepare_image_folder
from folk.data.shards import PreparedData
from folk.data.store import store_images
from folk.data.wnids import positions_among
from folk.evidence.core.errors import InputError
from tests.faults.table import fault


def prepared(kind, archives, folder, num_classes, **values):
    contents = read_archives(kind, archives, num_classes)
    values = {"name": kind, "sources": [], "identity": "x", "threads": 2} | values
    counts = store_images(contents, folder, **values)
    data = PreparedData.open(folder)
    assert data.counts == counts
    return data


def shards(folder):
    return json.loads((folder / "dataset.json").read_text())["shards"]


def test_imagenet_gives_the_very_shards_of_the_same_images_in_folders(tmp_path):
    data = prepared("imagenet", miniature.imagenet(tmp_path / "in"), tmp_path / "out", 3)
    folders = tmp_path / "folders"
    truth = dict(zip(miniature.validation_images(), (1, 2, 0, 0), strict=True))
    for wnid, files in miniature.imagenet_images().items():
        for name, content in files.items():
            (folders / "train" / wnid).mkdir(parents=True, exist_ok=True)
            (folders / "train" / wnid / name).write_bytes(content)
    for name, content in miniature.validation_images().items():
        (folders / "val" / WNIDS[truth[name]]).mkdir(parents=True, exist_ok=True)
        (folders / "val" / WNIDS[truth[name]] / name).write_bytes(content)
    prepare_image_folder(folders, tmp_path / "plain")
    plain = PreparedData.open(tmp_path / "plain")

    assert data.counts == {"train": 9, "val": 4}
    assert data.wnids == plain.wnids == WNIDS
    assert data.classes[0] == "word 0, other word"
    assert shards(tmp_path / "out") == shards(tmp_path / "plain")
    assert data.split("val").labels().tolist() == [0, 0, 1, 2]


def test_labels_follow_wordnet_ids_and_not_the_numbers_of_the_devkit(tmp_path):
    turned = tuple(reversed(WNIDS))
    archives = miniature.imagenet(tmp_path, devkit=miniature.devkit_files(turned, (1, 1, 1, 2)))
    data = prepared("imagenet", archives, tmp_path / "out", 3)

    assert data.wnids == WNIDS
    assert sorted(data.split("val").labels().tolist()) == [1, 2, 2, 2]


KIT = "ILSVRC2012_devkit_t12/data"
TRUTH = f"{KIT}/ILSVRC2012_validation_ground_truth.txt"


@pytest.mark.parametrize(
    ("archive", "files", "message"),
    [
        ("train", miniature.imagenet_images(WNIDS[:2]), "missing tars of 1 classes: n02085620"),
        ("train", miniature.imagenet_images((*WNIDS, "n99999999")), r"99\.tar: unknown class"),
        ("val", miniature.validation_images(3), r"expected 4 images .*got 3"),
        ("devkit", {f"{KIT}/meta.mat": b"nonsense"}, "unreadable tables"),
        ("devkit", {TRUTH: b"9\n"}, "unreadable tables"),
        ("devkit", {f"{KIT}/meta.mat": None}, r"missing data/meta\.mat"),
    ],
)
def test_an_imagenet_whose_archives_do_not_belong_together_is_refused(
    tmp_path, archive, files, message
):
    if archive == "devkit":
        changed = miniature.devkit_files() | files
        files = {name: data for name, data in changed.items() if data is not None}

    with pytest.raises(InputError, match=message):
        read_archives("imagenet", miniature.imagenet(tmp_path, **{archive: files}), 3)


def test_dirty_images_of_imagenet_survive_as_they_are(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # says that it is to be turned by a quarter
    dirty = {
        "n01440764_1.JPEG": image(mode="CMYK"),
        "n01440764_2.JPEG": image(kind="PNG"),
        "n01440764_3.JPEG": image(exif=exif, size=(30, 10)),
        "n01440764_4.JPEG": image(mode="L"),
    }
    train = miniature.imagenet_images() | {"n01440764": dirty}
    data = prepared("imagenet", miniature.imagenet(tmp_path, train=train), tmp_path / "out", 3)
    table = data.split("train")

    assert [table.image_bytes(i) for i in range(4)] == list(dirty.values())
    turned = decode_image(table.image_bytes(2), where=lambda: "")
    assert (turned.size, turned.mode) == ((30, 10), "RGB")


def test_a_truncated_image_is_refused_by_archive_and_name(tmp_path):
    train = miniature.imagenet_images()
    train["n01443537"]["n01443537_2.JPEG"] = image()[:200]
    archives = miniature.imagenet(tmp_path, train=train)

    where = r"img_train\.tar: n01443537\.tar: n01443537_2\.JPEG: expected a whole image"
    with pytest.raises(InputError, match=where):
        prepared("imagenet", archives, tmp_path / "out", 3)
    assert not (tmp_path / "out/dataset.json").exists()


def test_ade20k_counts_classes_from_zero_and_ignores_the_rest(tmp_path):
    archives = {"images": write_archive(tmp_path / "ade.zip", miniature.ade20k_files())}
    data = prepared("ade20k", archives, tmp_path / "out", 150)
    table = data.split("train")

    assert data.counts == {"train": 3, "val": 2}
    assert data.segmentation_classes is not None
    assert (len(data.segmentation_classes), data.segmentation_classes[0]) == (
        150,
        "class 0, another word",
    )
    assert table.keys()[0] == "train/ADE_train_00000001.jpg"
    assert table.labels().tolist() == [-1, -1, -1]
    ids = np.asarray(Image.open(io.BytesIO(table.annotation_bytes(2) or b"")))
    assert ids[0, :4].tolist() == [255, 0, 149, 1]


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("annotations/training/ADE_train_00000002.png", "3 images and 2 annotations"),
        ("images/validation/ADE_val_00000001.jpg", "1 images and 2 annotations"),
        ("objectInfo150.txt", r"no objectInfo150\.txt"),
    ],
)
def test_an_ade20k_that_lacks_something_is_refused(tmp_path, spoilt, message):
    files = miniature.ade20k_files()
    del files[f"ADEChallengeData2016/{spoilt}"]

    with pytest.raises(InputError, match=message):
        read_archives("ade20k", {"images": write_archive(tmp_path / "ade.zip", files)}, 150)


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param(
            "size",
            marks=fault(
                "Images",
                "an annotation of another size than its image",
                "refused by the preparation, by its name in the archive",
            ),
        ),
        pytest.param(
            "class",
            marks=fault("Images", "a class id out of range", "refused by the preparation"),
        ),
    ],
)
def test_an_annotation_that_does_not_fit_is_refused(tmp_path, marks):
    files = miniature.ade20k_files()
    buffer = io.BytesIO()
    size, value = ((16, 23), 1) if marks == "size" else ((16, 24), 151)
    Image.fromarray(np.full(size, value, dtype=np.uint8)).save(buffer, "PNG")
    files["ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"] = buffer.getvalue()
    archives = {"images": write_archive(tmp_path / "ade.zip", files)}

    with pytest.raises(
        InputError, match=r"00001\.png: (expected .*got \(23, 16\)|invalid class 151)"
    ):
        prepared("ade20k", archives, tmp_path / "out", 150)


def test_each_corruption_at_each_severity_is_a_split(tmp_path):
    archives = {
        "noise": write_archive(tmp_path / "noise.tar", miniature.corrupted(["gaussian_noise"])),
        "blur": write_archive(tmp_path / "blur.tar", miniature.corrupted(["zoom_blur"])),
    }
    data = prepared(
        "imagenet-c", archives, tmp_path / "out", 3, num_splits=10, expected={"each": 3}
    )
    table = data.split("gaussian_noise-3")

    assert list(data.counts)[:6] == [
        *(f"gaussian_noise-{s}" for s in (1, 2, 3, 4, 5)),
        "zoom_blur-1",
    ]
    assert data.wnids == WNIDS
    assert table.labels().tolist() == [2, 1, 0]
    assert table.keys()[0] == "gaussian_noise/3/n02085620/ILSVRC2012_val_00000000.JPEG"


def test_severities_are_numbered_by_size_and_may_lie_in_any_order(tmp_path):
    files = miniature.corrupted(["sparkles"], ("10.0", "2.5", "9"))
    inside = {f"imagenet_c_bar/{name}": data for name, data in files.items()}
    archives = {"images": write_archive(tmp_path / "bar.tar.gz", inside)}
    data = prepared("c-bar", archives, tmp_path / "out", 3)

    assert {s: data.split(s).keys()[0].split("/")[1] for s in data.counts} == {
        "sparkles-1": "2.5",
        "sparkles-2": "9",
        "sparkles-3": "10.0",
    }


def test_a_split_that_lies_in_two_places_is_whole(tmp_path):
    files = miniature.corrupted(["fog"], ("1", "2"))
    mixed = dict(sorted(files.items(), key=lambda item: item[0].split("/")[2:]))
    data = prepared(
        "imagenet-c", {"all": write_archive(tmp_path / "a.tar", mixed)}, tmp_path / "out", 3
    )

    assert data.counts == {"fog-1": 3, "fog-2": 3}
    assert sorted(data.split("fog-2").labels().tolist()) == [0, 1, 2]


def test_a_corruption_in_two_archives_is_refused(tmp_path):
    archives = {
        n: write_archive(tmp_path / f"{n}.tar", miniature.corrupted(["fog"])) for n in ("a", "b")
    }

    with pytest.raises(InputError, match=r"duplicate corruption 'fog', also in .*a\.tar"):
        read_archives("imagenet-c", archives, 3)


def test_other_numbers_than_the_recipe_names_are_refused_before_anything_is_read(tmp_path):
    files = miniature.corrupted(["fog"]) | {"fog/3/n01440764/more.JPEG": b"no image"}
    archives = {"all": write_archive(tmp_path / "a.tar", files)}

    with pytest.raises(InputError, match=r"expected 75 splits .*got 5"):
        prepared("imagenet-c", archives, tmp_path / "out", 3, num_splits=75)
    with pytest.raises(InputError, match=r"expected 3 images of split 'fog-3' .*got 4"):
        prepared("imagenet-c", archives, tmp_path / "out", 3, expected={"each": 3})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["imagenet-a", "imagenet-r", "imagenet-sketch"])
def test_a_variant_knows_its_classes_among_those_of_imagenet(tmp_path, kind):
    files = {f"{kind}/{wnid}/a b_{i}.jpg": image(i) for i, wnid in enumerate(reversed(WNIDS[1:]))}
    path = tmp_path / ("in.zip" if kind == "imagenet-sketch" else "in.tar")
    write_archive(path, files | {f"{kind}/README.txt": b"about"})
    data = prepared(kind, {"images": path}, tmp_path / "out", 2, expected={"val": 2})

    assert data.wnids == WNIDS[1:]
    assert data.split("val").labels().tolist() == [1, 0]
    positions = positions_among(data.wnids, WNIDS, num_classes=2)
    assert positions.tolist() == [1, 2]


def test_folders_of_v2_are_numbers_and_ten_comes_after_nine(tmp_path):
    order = ["0", "1", "10", "11", *map(str, range(2, 10))]
    files = {f"imagenetv2-matched-frequency-format-val/{n}/x.jpeg": image() for n in order}
    path = write_archive(tmp_path / "v2.tar.gz", files)
    data = prepared("imagenet-v2", {"images": path}, tmp_path / "out", 12)
    table = data.split("val")

    assert [f"val/{label}/x.jpeg" for label in table.labels()] == table.keys()
    assert data.wnids is None
    assert positions_among(None, WNIDS, num_classes=3).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"expected 11 classes .*got 12"):
        read_archives("imagenet-v2", {"images": path}, 11)


def test_classes_that_were_not_trained_are_refused():
    with pytest.raises(InputError, match=r"1 unknown classes.*n09999999"):
        positions_among(["n09999999"], WNIDS, num_classes=1)
    with pytest.raises(InputError, match="training data: missing wnids"):
        positions_among(WNIDS, None, num_classes=3)
