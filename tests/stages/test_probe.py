"""A probe reads frozen features by several protocols, and leaves the evidence for each number."""

import json
from pathlib import Path

import pytest

from folk.evidence.results.evidence import recompute
from folk.stages.table import STAGES, load_recipe
from folk.training.loop import StoppedError
from tests.toy import do_stage

RECIPE = Path("config/recipes/probe/demo.yaml")
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 2}
CROPS = {
    "knn.k": [5, 20],
    "linear.views": "crops",
    "linear.feature": "last-4-cls",
    "linear.epochs": 3,
    "linear.batch": 50,
}


@pytest.fixture(scope="module")
def encoder(store_encoder):
    return store_encoder("vit_tiny_patch16_224", VIT)


def measure(encoder, dataset, work, settings, live=lambda update, values: None):
    recipe = load_recipe("probe", RECIPE, settings)
    return do_stage("probe", recipe, work, encoder=encoder, dataset=dataset, live=live)


@pytest.mark.parametrize("views", ["whole", "crops"])
def test_every_number_can_be_derived_from_the_predictions_again(
    encoder, few_scenes, tmp_path, views
):
    metrics = measure(encoder, few_scenes, tmp_path, {**CROPS, "linear.views": views})

    assert metrics.keys() >= {"knn_top1_k5", "knn_top1_k20", "linear_top1_last"}
    for name in ("knn_top1_k5", "knn_top1_k20", "linear_top1_last"):
        assert recompute(STAGES["probe"], tmp_path, name) == metrics[name]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    tops = [line["top1"] for line in lines if "top1" in line]
    assert len(tops) == 3
    assert metrics["linear_top1_best"] == max(tops)
    assert metrics["linear_top1_last"] == tops[-1]


def test_a_stopped_line_on_crops_goes_on_and_ends_the_same(encoder, few_scenes, tmp_path):
    settings = {**CROPS, "runtime.checkpoint_seconds": 0.0}
    whole = measure(encoder, few_scenes, tmp_path / "whole", settings)

    def stop(update, values):
        if update == 6:
            raise StoppedError("by the test")

    with pytest.raises(StoppedError):
        measure(encoder, few_scenes, tmp_path / "stopped", settings, stop)
    assert (tmp_path / "stopped/checkpoint.pt").is_file()
    again = measure(encoder, few_scenes, tmp_path / "stopped", settings)

    assert again == whole
    for name in ("predictions-linear.parquet", "predictions-knn.parquet"):
        one, two = ((tmp_path / f / name).read_bytes() for f in ("whole", "stopped"))
        assert one == two


def test_crops_differ_between_epochs_and_whole_images_do_not(encoder, few_scenes, tmp_path):
    # A line that does not move sees the same loss again only where the images are the same.
    found = {}
    for min_scale, flip in ((0.3, 0.0), (1.0, 0.0)):
        lines = []
        measure(
            encoder,
            few_scenes,
            tmp_path / f"{min_scale}",
            {**CROPS, "linear.lr": 1e-30, "linear.batch": 150, "linear.flip": flip,
             "linear.min_scale": min_scale},
            lambda update, values, lines=lines: lines.append(values),
        )  # fmt: skip
        found[min_scale] = [values["loss"] for values in lines if "loss" in values]

    assert len(set(found[0.3])) == 3
    assert found[1.0] == pytest.approx([found[1.0][0]] * 3, rel=1e-3)


def test_the_interpolation_of_the_recipe_is_that_of_the_crops(encoder, few_scenes, tmp_path):
    settings = {**CROPS, "linear.epochs": 1, "linear.min_scale": 0.3}
    losses = {}
    for how in ("bilinear", "bicubic"):
        measure(encoder, few_scenes, tmp_path / how, {**settings, "linear.interpolation": how})
        lines = (tmp_path / how / "metrics.jsonl").read_text().splitlines()
        losses[how] = [json.loads(line)["loss"] for line in lines if "loss" in line]

    assert losses["bilinear"] != losses["bicubic"]
    assert losses["bilinear"] == pytest.approx(losses["bicubic"], rel=0.05)
