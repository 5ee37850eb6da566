"""An image depends on seed, epoch and index: not on processes, caches or the order of reading."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from folk.data.dataset import EpochSampler, ImageDataset, loader
from folk.data.joint import SegmentTransform
from folk.data.sampler import Draw
from folk.data.shards import ImageTable
from folk.data.transforms import EvalTransform, view_transforms
from folk.data.writer import write_shard
from folk.evidence.core.errors import InputError
from tests.faults.table import fault
from tests.toy import encoded

VIEWS = view_transforms("mfm", size=32, min_scale=0.2, num_views=2)
WHOLE = EvalTransform(resize=32, crop=32)
SEGMENT = SegmentTransform(crop=32, scale=(0.5, 2.0))


def png(pixels):
    return encoded(Image.fromarray(pixels))


def table_of(folder, images, labels=None, annotations=None):
    path, count = folder / "train-00000.arrow", len(images)
    names = [f"train/{i}" for i in range(count)]
    columns = (names, labels or [0] * count, images, annotations or [None] * count)
    write_shard(path, zip(*columns, strict=True))
    return ImageTable([path])


def batches_equal(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            one, two = a[name], b[name]
            if isinstance(one, list):
                assert all(torch.equal(x, y) for x, y in zip(one, two, strict=True))
            else:
                assert torch.equal(one, two)


def test_items_depend_on_seed_epoch_and_index_alone(scenes):
    table = scenes.split("train")
    dataset = ImageDataset(table, VIEWS, seed=1)
    first = dataset[Draw(0, 5)]["image"]
    dataset[Draw(3, 7)]
    torch.manual_seed(4)

    assert all(torch.equal(a, b) for a, b in zip(dataset[5]["image"], first, strict=True))
    for other in (
        dataset[Draw(1, 5)],
        dataset[Draw(0, 6)],
        dataset[Draw(0, 5, copy=1)],
        ImageDataset(table, VIEWS, seed=2)[5],
    ):
        assert not torch.equal(other["image"][0], first[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_loading_processes_changes_nothing(scenes, workers):
    def two_epochs(workers):
        dataset = ImageDataset(scenes.split("train"), VIEWS, seed=3)
        sampler = EpochSampler(len(dataset), batch=16, seed=3)
        batches = loader(dataset, sampler, workers=workers)
        seen = list(batches)
        sampler.set_epoch(1)
        return seen + list(batches)

    batches_equal(two_epochs(0), two_epochs(workers))


def test_a_resumed_epoch_gives_the_same_batches(scenes):
    dataset = ImageDataset(scenes.split("train"), VIEWS, seed=3)

    def batches(**options):
        return list(loader(dataset, EpochSampler(len(dataset), batch=16, epoch=2, **options)))

    batches_equal(batches()[1:], batches(start_batch=1))


def test_two_processes_see_what_one_sees(scenes):
    dataset = ImageDataset(scenes.split("train"), VIEWS, seed=3)

    def views(**options):
        sampler = EpochSampler(len(dataset), batch=16, **options)
        return [batch["image"][0] for batch in loader(dataset, sampler)]

    halves = zip(views(rank=0, world=2), views(rank=1, world=2), strict=True)
    assert all(
        torch.equal(whole, torch.cat(pair)) for whole, pair in zip(views(), halves, strict=True)
    )


@pytest.mark.parametrize(
    ("transform", "classes"), [(VIEWS, None), (SEGMENT, 11)], ids=["views", "segmentation"]
)
def test_a_cache_changes_nothing(scenes, transform, classes):
    def batches(cache_bytes):
        dataset = ImageDataset(
            scenes.split("train"),
            transform,
            num_segmentation_classes=classes,
            cache_bytes=cache_bytes,
        )
        assert (dataset._images is not None) == (cache_bytes == 2**20)
        return list(loader(dataset, EpochSampler(len(dataset), batch=16)))

    batches_equal(batches(0), batches(2**20))
    batches_equal(batches(0), batches(1000))  # too small: no cache


def test_images_of_several_sizes_are_not_cached(tmp_path):
    images = [png(np.zeros((8, 8 + i, 3), dtype=np.uint8)) for i in range(2)]
    dataset = ImageDataset(table_of(tmp_path, images), WHOLE, cache_bytes=2**20)

    assert dataset._images is None
    assert dataset[1]["image"].shape == (3, 32, 32)


def test_a_pickled_dataset_gives_the_same_items_without_carrying_images(scenes):
    dataset = ImageDataset(scenes.split("train"), VIEWS, seed=1, cache_bytes=2**20)
    data = pickle.dumps(dataset)

    assert len(data) < 10_000
    assert torch.equal(pickle.loads(data)[3]["image"][1], dataset[3]["image"][1])


def test_loading_does_not_move_the_global_generators(scenes):
    dataset = ImageDataset(scenes.split("train"), VIEWS)
    torch.manual_seed(0)
    expected = torch.get_rng_state()

    list(loader(dataset, EpochSampler(len(dataset), batch=16)))

    assert torch.equal(torch.get_rng_state(), expected)


def test_a_batch_holds_labels_indices_and_annotations(scenes):
    dataset = ImageDataset(
        scenes.split("train"), SEGMENT, num_classes=10, num_segmentation_classes=11
    )
    sampler = EpochSampler(len(dataset), batch=20, shuffle=False)
    batch = next(iter(loader(dataset, sampler)))

    assert batch["image"].shape == (20, 3, 32, 32)
    assert batch["annotation"].shape == (20, 32, 32)
    assert batch["index"].tolist() == list(range(20))
    assert batch["label"].tolist() == [i % 10 for i in range(20)]


def test_kept_keys_are_the_only_images_left(scenes):
    table = scenes.split("train")
    dataset = ImageDataset(table, WHOLE, keep_keys=["train/00030", "train/00002"])

    assert dataset.keys() == ["train/00002", "train/00030"]
    assert dataset.labels().tolist() == [2, 0]


def test_kept_keys_that_do_not_exist_are_refused(scenes):
    with pytest.raises(InputError, match="1 unknown keys in the split: train/99999"):
        ImageDataset(scenes.split("train"), WHOLE, keep_keys=["train/00001", "train/99999"])


def test_an_empty_split_is_refused(scenes):
    with pytest.raises(InputError, match="the split is empty"):
        ImageDataset(scenes.split("train"), WHOLE, keep_keys=[])


@pytest.mark.parametrize("label", [-1, 10])
@fault("Images", "a label that is no class", "refused before training, by its key")
def test_a_label_outside_the_classes_is_refused_by_key(tmp_path, label):
    image = png(np.zeros((8, 8, 3), dtype=np.uint8))
    table = table_of(tmp_path, [image] * 3, labels=[0, label, 2])

    with pytest.raises(InputError, match=f"train/1: invalid label {label}; expected 0 to 9"):
        ImageDataset(table, WHOLE, num_classes=10)


@pytest.mark.parametrize("workers", [0, 1])
def test_bytes_that_are_no_image_are_refused_by_key_and_shard_in_one_line(tmp_path, workers):
    good = png(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    dataset = ImageDataset(table_of(tmp_path, [good, good[: len(good) // 2]]), WHOLE)

    with pytest.raises(InputError) as error:
        list(loader(dataset, EpochSampler(2, batch=2), workers=workers))
    assert str(error.value).startswith(
        f"{tmp_path / 'train-00000.arrow'}: train/1: expected a whole"
    )
    assert "\n" not in str(error.value)


def test_images_arrive_as_stored_and_in_color(tmp_path):
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:, :16, 0] = 255  # red on the left
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half
    red = Image.fromarray(pixels)
    files = [encoded(red, exif=exif), encoded(red.convert("CMYK"), "JPEG"), png(pixels[:, :, 0])]
    table = table_of(tmp_path, files)
    dataset = ImageDataset(table, EvalTransform(resize=16, crop=16))

    stored = ImageDataset(table, lambda pixels, _: pixels)[0]["image"]
    assert stored[:, 0, 0].tolist() == [255, 0, 0]
    assert stored[:, 0, 31].tolist() == [0, 0, 0]
    assert all(dataset[i]["image"].shape == (3, 16, 16) for i in range(3))


def test_a_missing_annotation_is_refused(tmp_path):
    table = table_of(tmp_path, [png(np.zeros((8, 8, 3), dtype=np.uint8))])

    with pytest.raises(InputError, match="train/0: missing annotation"):
        ImageDataset(table, SEGMENT, num_segmentation_classes=3)[0]


@pytest.mark.parametrize("ids", [[0, 2, 255], [0, 3, 1]])
@fault("Images", "a shard with a class id out of range", "refused when it is read, by its key")
def test_an_annotation_with_an_unknown_class_is_refused(tmp_path, ids):
    image = png(np.zeros((1, 3, 3), dtype=np.uint8))
    annotation = png(np.array([ids], dtype=np.uint8))
    table = table_of(tmp_path, [image], annotations=[annotation])
    dataset = ImageDataset(
        table, SegmentTransform(crop=4, scale=(1.0, 1.0)), num_segmentation_classes=3
    )

    if 3 in ids:
        with pytest.raises(InputError, match="train/0: invalid annotation class id 3"):
            dataset[0]
    else:
        assert dataset[0]["annotation"].shape == (4, 4)


def test_a_colored_annotation_is_refused(tmp_path):
    image = png(np.zeros((4, 4, 3), dtype=np.uint8))
    table = table_of(tmp_path, [image], annotations=[image])

    with pytest.raises(InputError, match="expected a gray annotation of class ids, got mode RGB"):
        ImageDataset(table, SEGMENT, num_segmentation_classes=3)[0]
