"""Trainings and measurements at the edge of what has a number: none of them ends in NaN."""

import io
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from folk.data.datasets import miniature
from folk.data.datasets.ade20k import ade20k
from folk.data.prepare import prepare_image_folder
from folk.data.store import store_images
from folk.evidence.core.errors import InputError
from folk.evidence.results.bootstrap import image_bootstrap
from folk.evidence.results.evidence import image_scores
from folk.evidence.results.metrics.segmentation import read_confusions
from folk.stages.table import STAGES, load_recipe
from folk.training.loop import NonFiniteLossError
from tests.faults.table import fault
from tests.toy import do_stage

RECIPES = Path("config/recipes")
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 2}
SHORT = {"optim.epochs": 1, "optim.warmup_epochs": 0.0, "runtime.log_every": 1}
SEGMENT = {"optim.updates": 2, "optim.warmup_updates": 0, "optim.batch": 3}


@pytest.fixture(scope="module")
def vit(store_encoder):
    return store_encoder("vit_tiny_patch16_224", VIT)


@pytest.fixture(scope="module")
def resnet(store_encoder):
    return store_encoder("resnet10t", {})


def measure(stage, recipe, encoder, dataset, work, **changes):
    loaded = load_recipe(stage, RECIPES / stage / f"{recipe}.yaml", changes)
    return do_stage(stage, loaded, work, encoder=encoder, dataset=dataset)


def trained(recipe, dataset, work, **changes):
    loaded = load_recipe("pretrain", RECIPES / f"pretrain/{recipe}.yaml", SHORT | changes)
    return do_stage("pretrain", loaded, work, dataset=dataset)


def flat_folder(folder, classes, count, size=(32, 32)):
    """Images of one color each, the first of every class black."""
    for split in ("train", "val"):
        for number, cls in enumerate(classes):
            (folder / split / cls).mkdir(parents=True)
            for i in range(count):
                color = (40 * i, 20 * number * bool(i), len(split) * bool(i))
                Image.new("RGB", size, color).save(folder / split / cls / f"{i}.png")
    return folder


def finite(metrics):
    return all(math.isfinite(value) for value in metrics.values())


# Rates that are too high.


@fault(
    "Numbers",
    "a learning rate that blows a fine-tuning up",
    "refused, by update and epoch; no predictions and no classifier are left",
)
def test_a_fine_tuning_that_blows_up_leaves_no_predictions(vit, few_scenes, tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"\(epoch \d+\) is not finite"):
        measure("finetune", "demo-full", vit, few_scenes, tmp_path, **SHORT, **{"optim.lr": 1e38})

    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl", "diverged.json"}


@fault("Numbers", "a learning rate that blows a linear probe up", "refused, by epoch")
def test_a_line_that_blows_up_is_refused(vit, few_scenes, tmp_path):
    with pytest.raises(
        InputError, match=r"linear: .* of epoch \d+ are not finite; lower linear\.lr"
    ):
        measure("probe", "demo", vit, few_scenes, tmp_path, **{"linear.lr": 1e38})


@fault(
    "Numbers",
    "a segmenter whose scores are NaN",
    "refused; no class is named by chance",
)
def test_a_segmenter_that_says_nan_is_not_measured(vit, annotated, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "folk.stages.tasks.segment.sliding_logits",
        lambda _model, images, *_: torch.full((len(images), 150, 32, 48), torch.nan),
    )
    with pytest.raises(InputError, match=r"non-finite scores of validation images \[0\]"):
        measure("segment", "demo", vit, annotated([1, 1]), tmp_path, **SEGMENT)


# Batches of one.


@fault("Numbers", "a batch of one image, without batch norm", "trains")
def test_a_batch_of_one_trains_what_has_no_batch_norm(vit, tmp_path):
    prepare_image_folder(flat_folder(tmp_path / "in", ["a", "b"], 2), tmp_path / "data")
    one = {"optim.batch": 1}

    assert finite(trained("demo-folk", tmp_path / "data", tmp_path / "folk", **one))
    found = measure("finetune", "demo-full", vit, tmp_path / "data", tmp_path / "f", **SHORT, **one)
    assert found["updates"] == 4
    assert finite(found)


@fault(
    "Numbers",
    "one image at a time for a network with batch norm",
    "refused before training, with the keys to change",
)
@pytest.mark.parametrize("changes", [{"optim.batch": 1}, {"runtime.max_batch": 1}])
def test_batch_norm_refuses_one_image_at_a_time(
    vit, resnet, annotated, few_scenes, tmp_path, changes
):
    with pytest.raises(InputError, match=r"optim\.batch: batch norm needs at least 2 images"):
        measure("finetune", "demo-full", resnet, few_scenes, tmp_path, **SHORT, **changes)
    with pytest.raises(InputError, match=r"optim\.batch: batch norm needs at least 2 images"):
        measure("segment", "demo", vit, annotated([1, 1]), tmp_path, **SEGMENT | changes)
    with pytest.raises(InputError, match=r"optim\.batch: batch norm needs at least 2 images"):
        trained("demo-resnet-mfm", few_scenes, tmp_path, **changes)


@fault("Numbers", "mixup of an odd number of images", "refused: they cannot be paired")
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_an_odd_batch_cannot_be_mixed(vit, few_scenes, tmp_path, mix):
    changes = {**SHORT, "optim.batch": 3, f"augment.{mix}": 0.8}

    with pytest.raises(
        InputError, match=r"optim\.batch: expected an even .*got 3; .*set both to 0"
    ):
        measure("finetune", "demo-full", vit, few_scenes, tmp_path, **changes)


# Data with little in it.


@fault(
    "Numbers",
    "images of one color, black ones among them (no spectrum)",
    "every loss is finite; Com keeps the mean color, RCom nothing that is seen",
)
@pytest.mark.parametrize("recipe", ["demo-folk", "demo-mfm", "demo-mfm-com", "demo-gabor"])
def test_images_of_one_color_train_to_finite_weights(tmp_path, recipe):
    prepare_image_folder(flat_folder(tmp_path / "in", ["a", "b"], 2), tmp_path / "data")

    found = trained(recipe, tmp_path / "data", tmp_path / "work", **{"optim.batch": 2})

    assert found["updates"] == 2
    assert finite(found)


@fault("Numbers", "one class only", "trains; all accuracies are 1, and k-shot is refused")
def test_one_class_is_always_right_and_has_no_k_shot(vit, tmp_path):
    prepare_image_folder(flat_folder(tmp_path / "in", ["a"], 3), tmp_path / "data")
    data, short = tmp_path / "data", {"linear.epochs": 2}
    kshot = {
        "shots": [1], "seeds": [0], "weight_decay": 0.1, "center": "feature",
        "max_iterations": 10, "tolerance": 1e-4,
    }  # fmt: skip

    tuned = measure(
        "finetune", "demo-full", vit, data, tmp_path / "f", **SHORT, **{"optim.batch": 2}
    )
    probed = measure("probe", "demo", vit, data, tmp_path / "p", **short)

    assert tuned["top1_last"] == tuned["top5_last"] == 1.0
    assert probed["knn_top1_k20"] == probed["linear_top1_last"] == 1.0  # 20 of 3 neighbors
    assert finite(tuned)
    assert finite(probed)
    with pytest.raises(InputError, match="kshot: expected images of at least two classes"):
        measure("probe", "demo", vit, data, tmp_path / "k", **short, kshot=kshot)


@pytest.fixture
def annotated(tmp_path):
    """ADE20K with three training and two validation images, annotated with these ids."""

    def prepared(validation, training=(1, 1, 1)):
        files = miniature.ade20k_files()
        for split, short, ids in (
            ("training", "train", training),
            ("validation", "val", validation),
        ):
            for number, value in enumerate(ids, start=1):
                buffer = io.BytesIO()
                Image.fromarray(np.full((16, 24), value, dtype=np.uint8)).save(buffer, "PNG")
                name = f"annotations/{split}/ADE_{short}_{number:08d}.png"
                files[f"ADEChallengeData2016/{name}"] = buffer.getvalue()
        path = miniature.write_archive(tmp_path / "ade.zip", files)
        folder = tmp_path / "ade"
        store_images(
            ade20k("ade20k", {"images": path}, 150), folder, name="ade", sources=[], identity="a"
        )
        return folder

    return prepared


@fault(
    "Images",
    "annotations that ignore every pixel, in training and in validation",
    "they count for nothing: a loss of 0, no share in mIoU and its interval",
)
def test_annotations_that_ignore_all_pixels_count_for_nothing(vit, annotated, tmp_path):
    dataset = annotated(validation=(0, 2), training=(0, 0, 0))

    found = measure("segment", "demo", vit, dataset, tmp_path / "work", **SEGMENT)

    assert found["loss_last"] == 0.0
    assert finite(found)
    assert read_confusions(tmp_path / "work/predictions.parquet").sum(axis=(1, 2)).tolist() == [
        0,
        384,
    ]
    scores = image_scores(STAGES["segment"], tmp_path / "work", "miou")
    assert scores is not None
    assert len(scores.terms) == 1
    assert image_bootstrap([[scores]], "mean") is None  # one image never scatters


@fault("Images", "annotations of which none of those to measure on has a pixel", "refused")
def test_a_segmentation_that_nothing_can_measure_is_refused(vit, annotated, tmp_path):
    with pytest.raises(InputError, match="no annotated pixel"):
        measure("segment", "demo", vit, annotated((0, 0)), tmp_path / "work", **SEGMENT)
    assert pq.ParquetFile(tmp_path / "work/predictions.parquet").metadata.num_rows == 2
