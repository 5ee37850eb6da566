"""Fashion-MNIST: the official files, a part of them that ships, and images held out."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from folk.data.datasets import miniature
from folk.data.datasets.arrays import CLOTHES, read_idx
from folk.data.datasets.embedded.make_fashion_mnist_small import contents_of
from folk.data.datasets.kinds import EMBEDDED
from folk.data.decode import decode_annotation, decode_image
from folk.data.shards import PreparedData
from folk.evidence.core.errors import InputError
from folk.stages.table import load_recipe
from tests.toy import do_stage

RECIPES = Path("config/recipes/prepare")
WHOLE = Path("/usr/share/datasets/fashion-mnist")
SMALL = EMBEDDED / "fashion-mnist-small"
TRAIN, TEST = (3, 0, 1, 2, 0, 1, 2, 3, 1, 0, 2, 3), (2, 1, 0, 3, 0, 1, 2, 3)
needs_whole = pytest.mark.skipif(
    not WHOLE.is_dir(), reason="no Fashion-MNIST; apt-get install dataset-fashion-mnist"
)


def prepared(folder, archives=None, labels=(TRAIN, TEST), recipe="fashion-mnist", **subset):
    loaded = load_recipe("prepare", RECIPES / f"{recipe}.yaml")
    files = {name: file.file for name, file in loaded.archive.files.items()}
    archives = archives or miniature.idx_files(folder / "in", files, *labels)
    values = {f"archive.files.{name}.unpacked_sha256": None for name in files}
    values |= {"archive.classes": 4, "archive.images": {"train": 12, "val": 8}}
    values |= {f"subset.{key}": value for key, value in subset.items()}
    loaded = load_recipe("prepare", RECIPES / f"{recipe}.yaml", values)
    do_stage("prepare", loaded, folder / "out", archive=archives)
    return PreparedData.open(folder / "out")


def keys(data, split):
    return [int(key.split("/")[1]) for key in data.split(split).keys()]  # noqa: SIM118


def test_images_are_those_of_the_files_with_their_labels_and_the_names_of_the_classes(tmp_path):
    data = prepared(tmp_path)
    table = data.split("val")

    assert data.counts == {"train": 12, "val": 8}
    assert list(data.classes) == list(CLOTHES[:4])
    assert table.keys()[3] == "val/00003"
    assert data.split("train").keys()[11] == "train/00011"
    assert table.labels().tolist() == list(TEST)
    assert data.split("train").labels().tolist() == list(TRAIN)
    pixels = read_idx(tmp_path / "in/t10k-images-idx3-ubyte.gz", 3)
    for index in range(8):
        image = np.asarray(decode_image(table.image_bytes(index), where=lambda: ""))
        assert image.shape == (*data.image_size, 3) == (28, 28, 3)
        assert (image == pixels[index][..., None]).all()


def test_a_mask_has_the_class_where_an_image_is_not_black(tmp_path):
    data = prepared(tmp_path)
    split = data.split("val")

    for index, label in enumerate(split.labels().tolist()):
        image = np.asarray(decode_image(split.image_bytes(index), where=lambda: "image"))[..., 0]
        mask = np.asarray(decode_annotation(split.annotation_bytes(index), where=lambda: "mask"))
        assert (mask == np.where(image > 0, label + 1, 0)).all()
    assert data.segmentation_classes == ("background", *CLOTHES[:4])


def test_unpacked_files_give_the_same_data_set(tmp_path):
    gzipped = prepared(tmp_path / "a")
    plain = {}
    for path in (tmp_path / "a/in").iterdir():
        word = "test" if path.name.startswith("t10k") else "train"
        plain[f"{word}-{path.name.split('-')[1]}"] = path.with_suffix("")
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    unpacked = prepared(tmp_path / "b", plain)

    for split in ("train", "val"):
        assert unpacked.split(split).image_bytes(5) == gzipped.split(split).image_bytes(5)
        assert keys(unpacked, split) == keys(gzipped, split)


@pytest.mark.parametrize(
    ("subset", "train", "val"),
    [
        ({"train_per_class": 2}, [0, 1, 2, 3, 4, 5, 6, 7], [*range(8)]),
        ({"val_per_class": 1}, [*range(12)], [0, 1, 2, 3]),
        ({"held_out_per_class": 1}, [*range(8)], [8, 9, 10, 11]),
        ({"held_out_per_class": 2, "train_per_class": 1}, [0, 1, 2, 3], [*range(4, 12)]),
        ({"held_out_per_class": 2, "val_per_class": 1}, [0, 1, 2, 3], [4, 5, 6, 7]),
    ],
)
def test_a_part_has_the_first_of_each_class_and_what_is_held_out_the_last(
    subset, train, val, tmp_path
):
    data = prepared(tmp_path, **subset)

    assert (keys(data, "train"), keys(data, "val")) == (train, val)
    labels = TRAIN if "held_out_per_class" in subset else TEST
    assert data.split("val").labels().tolist() == [labels[index] for index in val]
    held_out = {key.split("/")[0] for key in data.split("val").keys()}  # noqa: SIM118
    assert held_out == {"train" if "held_out_per_class" in subset else "val"}


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ({"train_per_class": 4}, r"subset\.train_per_class: 4, but class 'T-shirt/top' has 3"),
        ({"held_out_per_class": 2, "train_per_class": 2}, r"train_per_class: 2, but .* has 1"),
        ({"held_out_per_class": 2, "val_per_class": 3}, r"val_per_class: 3, but .* has 2"),
        ({"held_out_per_class": 3}, "3 leaves none of the 3 training images of class"),
    ],
)
def test_a_part_that_is_larger_than_the_whole_is_refused(subset, message, tmp_path):
    with pytest.raises(InputError, match=message):
        prepared(tmp_path, **subset)


def test_numbers_are_those_of_the_whole_archives_whatever_the_part(tmp_path):
    with pytest.raises(InputError, match="expected 8 images of split 'val'"):
        prepared(tmp_path, labels=(TRAIN, TEST[:7]), val_per_class=1)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("t10k-images-idx3-ubyte.gz", b"\x1f\x8bno", "damaged or cut short"),
        ("t10k-images-idx3-ubyte.gz", miniature.idx(np.zeros(8, np.uint8)), "with 3 axes"),
        ("t10k-labels-idx1-ubyte.gz", miniature.idx(np.zeros(8, np.uint8))[:-1], "with 1 axes"),
        ("t10k-labels-idx1-ubyte.gz", b"", "with 1 axes"),
        ("t10k-labels-idx1-ubyte.gz", miniature.idx(np.zeros(7, np.uint8)), "7 labels of 8 images"),
        ("t10k-labels-idx1-ubyte.gz", miniature.idx(np.full(8, 4, np.uint8)), "invalid label 4"),
    ],
)
def test_a_file_of_another_content_is_refused_by_its_path(file, content, message, tmp_path):
    loaded = load_recipe("prepare", RECIPES / "fashion-mnist.yaml")
    files = {name: file.file for name, file in loaded.archive.files.items()}
    archives = miniature.idx_files(tmp_path / "in", files, TRAIN, TEST)
    (tmp_path / "in" / file).write_bytes(content)

    with pytest.raises(InputError, match=rf"{file}: .*{message}"):
        prepared(tmp_path, archives)


def test_the_content_must_be_the_published_one_however_it_is_packed(tmp_path):
    loaded = load_recipe("prepare", RECIPES / "fashion-mnist.yaml")
    files = {name: file.file for name, file in loaded.archive.files.items()}
    archives = miniature.idx_files(tmp_path, files, TRAIN, TEST)

    with pytest.raises(InputError, match=r"expected sha256 c59f468a.* of what is in train-images"):
        do_stage("prepare", loaded, tmp_path / "out", archive=archives)


def test_the_part_that_ships_is_balanced_and_needs_no_file_of_the_user(tmp_path):
    recipe = load_recipe("prepare", RECIPES / "fashion-mnist-small.yaml")
    do_stage("prepare", recipe, tmp_path)
    data = PreparedData.open(tmp_path)

    assert data.counts == {"train": 12000, "val": 3000}
    assert np.bincount(data.split("train").labels()).tolist() == [1200] * 10
    assert np.bincount(data.split("val").labels()).tolist() == [300] * 10
    assert sum(path.stat().st_size for path in SMALL.iterdir()) < 7e6
    with pytest.raises(InputError, match="takes no archive"):
        do_stage("prepare", recipe, tmp_path, archive={"train-images": tmp_path})


@needs_whole
def test_the_part_that_ships_is_made_from_the_whole():
    for name, content in contents_of(WHOLE).items():
        packed = (SMALL / name).read_bytes()
        assert gzip.decompress(packed) == content
        assert packed[4:8] == bytes(4)  # no time of its making
        assert name in (SMALL / "README.md").read_text()


@pytest.mark.slow
@needs_whole
def test_images_held_out_of_the_official_files_leave_the_training_images(tmp_path):
    recipe = load_recipe("prepare", RECIPES / "fashion-mnist-held-out.yaml")
    archives = {name: WHOLE / file.file for name, file in recipe.archive.files.items()}
    do_stage("prepare", recipe, tmp_path, archive=archives)
    data = PreparedData.open(tmp_path)
    train, val = data.split("train"), data.split("val")

    assert data.counts == {"train": 50000, "val": 10000}
    assert sorted(train.keys() + val.keys()) == [f"train/{i:05d}" for i in range(60000)]
    assert np.bincount(val.labels()).tolist() == [1000] * 10
