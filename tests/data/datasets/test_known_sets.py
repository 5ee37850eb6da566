"""Data sets that people have on their disks, each in a miniature of its true archive."""

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from folk.data.datasets import miniature
from folk.data.datasets.arrays import CIFAR
from folk.data.datasets.kinds import KINDS, read_archives
from folk.data.datasets.miniature import CLASSES, LABELS, write_archive
from folk.data.shards import PreparedData
from folk.data.store import store_images
from folk.evidence.core.errors import InputError
from folk.evidence.record.fingerprint import closure
from folk.stages.table import load_recipe
from tests.toy import do_stage

TEN = (0, 1, 2, 3, 2, 1, 0, 3, 1, 2)  # labels, two for each of the five training files


def prepared(kind, path, folder, num_classes=4):
    contents = read_archives(kind, {"images": path}, num_classes)
    counts = store_images(contents, folder, name=kind, sources=[], identity="x", threads=1)
    data = PreparedData.open(folder)
    assert data.counts == counts == contents.counts
    return data


def pixels(data, split, index):
    return np.asarray(Image.open(io.BytesIO(data.split(split).image_bytes(index))))


def cifar_tar(kind, path, spoilt=None):
    files = miniature.cifar_files(kind, TEN, LABELS[1])
    files |= {f"{CIFAR[kind][0]}/{name}": data for name, data in (spoilt or {}).items()}
    return write_archive(path, {name: data for name, data in files.items() if data is not None})


def pickled(value):
    """As Python 2 has pickled the official files with protocol 2: its strings are bytes."""

    def spelled(part):
        if isinstance(part, str | bytes):
            data = part.encode() if isinstance(part, str) else part
            return b"T" + struct.pack("<i", len(data)) + data
        if isinstance(part, dict):
            return b"}(" + b"".join(spelled(k) + spelled(v) for k, v in part.items()) + b"u"
        if isinstance(part, list):
            return b"](" + b"".join(map(spelled, part)) + b"e"
        if isinstance(part, np.ndarray):
            kind = b"cnumpy\ndtype\n(" + spelled("u1") + spelled(0) + spelled(1) + b"tR("
            kind += spelled(3) + spelled("|") + b"NNN" + 2 * spelled(-1) + spelled(0) + b"tb"
            made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
            made += b"(" + spelled(0) + b"t" + spelled("b") + b"tR(" + spelled(1)
            made += b"(" + b"".join(map(spelled, part.shape)) + b"t"
            return made + kind + b"\x89" + spelled(part.tobytes()) + b"tb"
        return b"J" + struct.pack("<i", part)

    return b"\x80\x02" + spelled(value) + b"."


@pytest.mark.parametrize("python", [2, 3])
@pytest.mark.parametrize("kind", ["cifar-10", "cifar-100"])
def test_images_of_cifar_are_three_planes_of_rows_in_the_order_of_the_files(kind, python, tmp_path):
    path = cifar_tar(kind, tmp_path / "cifar.tar.gz")
    if python == 2:
        files = miniature.cifar_files(kind, TEN, LABELS[1])
        write_archive(path, {file: pickled(pickle.loads(data)) for file, data in files.items()})
    data = prepared(kind, path, tmp_path / "out")

    assert data.counts == {"train": 10, "val": 4}
    assert list(data.classes) == ["class 0", "class 1", "class 2", "class 3"]
    assert data.split("train").labels().tolist() == list(TEN)
    assert data.split("train").keys()[9] == "train/00009"
    noise = np.random.default_rng(0).integers(0, 255, (10, 3072), dtype=np.uint8)
    found = pixels(data, "train", 7)
    assert found.shape == (*data.image_size, 3) == (32, 32, 3)
    for color in range(3):
        assert (found[..., color] == noise[7][1024 * color :][:1024].reshape(32, 32)).all()


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("meta", pickle.dumps(Evil(), 2), r"meta: .*__builtin__\.print is not admitted"),
        ("train", pickle.dumps({b"data": np.zeros(3)}, 2), "is not admitted"),
        ("train", b"\x80\x02}", "expected a pickle of images"),
        ("test", pickled({"data": np.zeros((1, 9), np.uint8), "fine_labels": [1]}), "reshape"),
        ("meta", pickled({"fine_label_names": ["only"]}), "a label without a name"),
        ("meta", pickled({}), "KeyError"),
        ("test", None, "missing or unexpected in cifar-100-python .*'test'"),
    ],
)
def test_a_pickle_of_another_content_is_refused_and_runs_nothing(
    name, content, message, tmp_path, capsys
):
    path = cifar_tar("cifar-100", tmp_path / "cifar.tar.gz", {name: content})

    with pytest.raises(InputError, match=message):
        read_archives("cifar-100", {"images": path}, 4)
    assert capsys.readouterr().out == ""


def test_images_of_stl_are_three_planes_of_columns_and_most_have_no_label(tmp_path):
    files = miniature.stl10_files()
    data = prepared("stl-10", write_archive(tmp_path / "stl.tar.gz", files), tmp_path / "out")

    assert data.counts == {"train": 5, "val": 4, "unlabeled": 2}
    assert list(data.classes) == ["airplane", "bird", "car", "cat"]
    assert data.split("train").labels().tolist() == list(LABELS[0])
    assert data.split("val").labels().tolist() == list(LABELS[1])
    assert data.split("unlabeled").labels().tolist() == [-1, -1]
    assert data.image_size == (96, 96)
    assert data.folds == ((0, 2, 3, 4), (1, 2))
    for split, word, index in (("val", "test", 3), ("unlabeled", "unlabeled", 1)):
        stored = np.frombuffer(files[f"stl10_binary/{word}_X.bin"], np.uint8)
        columns = stored.reshape(-1, 3, 96, 96)[index]
        assert (pixels(data, split, index) == columns.transpose(2, 1, 0)).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_y.bin", None, r"missing .train_y\.bin"),
        ("train_y.bin", bytes([1, 2]), "do not fit"),
        ("test_y.bin", bytes([0, 1, 2, 3]), "do not fit"),
        ("test_X.bin", bytes(100), "do not fit"),
        ("class_names.txt", b"one\ntwo\n", r"expected 4 classes .*got 2"),
        ("fold_indices.txt", b"0 5\n", r"fold_indices\.txt: a position outside of 0 to 4"),
        ("fold_indices.txt", b"0 one\n", r"fold_indices\.txt: invalid literal"),
    ],
)
def test_an_stl_whose_files_do_not_belong_together_is_refused(name, content, message, tmp_path):
    files = miniature.stl10_files() | {f"stl10_binary/{name}": content}
    inside = {key: data for key, data in files.items() if data is not None}
    path = write_archive(tmp_path / "stl.tar.gz", inside)

    with pytest.raises(InputError, match=message):
        read_archives("stl-10", {"images": path}, 4)


def test_validation_images_of_tiny_imagenet_have_the_labels_of_its_list(tmp_path):
    path = write_archive(tmp_path / "tiny.zip", miniature.tiny_imagenet_files())
    data = prepared("tiny-imagenet-200", path, tmp_path / "out")

    assert data.counts == {"train": 5, "val": 4}
    assert data.wnids == CLASSES
    assert data.classes[0] == f"word {CLASSES[0]}, other"
    assert data.split("train").labels().tolist() == [0, 0, 1, 2, 3]
    # The list names the classes in turned order.
    assert data.split("val").keys() == [
        f"val/{wnid}/val_{3 - label}.JPEG" for label, wnid in enumerate(CLASSES)
    ]
    assert data.split("val").labels().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("val/val_annotations.txt", b"val_0.JPEG\tn01440764\t0\t0\t1\t1\n", "unknown class 'none'"),
        ("val/val_annotations.txt", None, "missing tiny-imagenet-200/val/val_annotations"),
        ("wnids.txt", b"n01440764\n", r"expected 4 classes .*got 1"),
    ],
)
def test_a_tiny_imagenet_without_its_lists_is_refused(name, content, message, tmp_path):
    files = miniature.tiny_imagenet_files() | {f"tiny-imagenet-200/{name}": content}
    inside = {key: data for key, data in files.items() if data is not None}
    path = write_archive(tmp_path / "tiny.zip", inside)

    with pytest.raises(InputError, match=message):
        read_archives("tiny-imagenet-200", {"images": path}, 4)


@pytest.mark.parametrize("kind", ["imagenette", "imagewoof"])
def test_folders_of_a_tar_are_splits_and_classes_and_training_comes_first(kind, tmp_path):
    files = miniature.imagenette_files(f"{kind}2")
    path = write_archive(tmp_path / "in.tgz", files)
    data = prepared(kind, path, tmp_path / "out")

    assert data.counts == {"train": 5, "val": 4}
    assert data.wnids == CLASSES
    assert data.split("train").labels().tolist() == [0, 1, 2, 3, 0]
    assert data.split("val").keys()[1] == f"val/{CLASSES[1]}/{CLASSES[1]}_3.JPEG"
    with pytest.raises(InputError, match=r"expected 10 classes .*got 4"):
        read_archives(kind, {"images": path}, 10)


def test_an_image_outside_of_the_folders_of_classes_is_refused(tmp_path):
    path = write_archive(tmp_path / "in.tgz", {"imagenette2/train/tench/a.JPEG": miniature.image()})

    with pytest.raises(InputError, match="a path that ends in <split>/<wnid>/<image>"):
        read_archives("imagenette", {"images": path}, 1)


def test_a_hundred_classes_of_imagenet_are_labeled_in_the_order_of_their_ids(tmp_path):
    recipe = Path("config/recipes/prepare/imagenet-100.yaml")
    whole = load_recipe("prepare", recipe)
    assert whole.kind == "imagenet"
    assert len({*whole.subset.classes}) == 100
    archives = miniature.imagenet(tmp_path / "in")
    few = {f"archive.files.{name}.md5": None for name in archives}
    few |= {"archive.classes": 3, "archive.images": {"train": 9, "val": 4}}
    kept = [miniature.WNIDS[2], miniature.WNIDS[0]]
    part = load_recipe("prepare", recipe, few | {"subset.classes": kept})
    do_stage("prepare", part, tmp_path / "out", archive=archives)
    data = PreparedData.open(tmp_path / "out")

    assert data.wnids == (miniature.WNIDS[0], miniature.WNIDS[2])
    assert data.classes == ("word 0, other word", "word 2, other word")
    assert data.counts == {"train": 6, "val": 3}
    assert data.split("train").labels().tolist() == [0, 0, 0, 1, 1, 1]
    assert [key.split("/")[1] for key in data.split("val").keys()] == [  # noqa: SIM118
        miniature.WNIDS[label] for label in (0, 0, 2)
    ]
    other = load_recipe("prepare", recipe, few | {"subset.classes": ["n00000000", kept[0]]})
    with pytest.raises(InputError, match=r"unknown class 'n00000000', not in the archives"):
        do_stage("prepare", other, tmp_path / "other", archive=archives)


def test_the_code_of_every_reader_belongs_to_the_stage():
    code = closure("folk.stages.prepare", Path())

    for kind in KINDS.values():
        assert f"folk.data.datasets.{kind.reader.split('.')[0]}" in code


def test_every_kind_of_archives_has_a_recipe():
    recipes = [load_recipe("prepare", p) for p in Path("config/recipes/prepare").glob("*.yaml")]

    assert {recipe.kind for recipe in recipes} == {"scenes", "folder", *KINDS}
