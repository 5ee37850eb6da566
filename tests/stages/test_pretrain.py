"""Every method trains every kind of encoder, from a recipe alone."""

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from folk.data.prepare import prepare_scenes
from folk.models.encoder import create_encoder, load_encoder
from folk.stages.table import load_recipe
from folk.training.history import read_history
from folk.training.randomness import seed_all
from tests.toy import do_stage

RECIPES = Path("config/recipes/pretrain")
SHORT = {
    "optim.epochs": 1,
    "optim.batch": 4,
    "optim.warmup_epochs": 0.5,
    "runtime.log_every": 1,
    "runtime.knn_every": 0,
    "runtime.workers": 0,
}
SWIN = {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": [1, 1, 1, 1]}
ENCODERS = {
    "vit": {},
    "resnet": {
        "encoder.timm_name": "resnet10t",
        "encoder.timm_args": {},
        "views.size": 64,
    },
    "swin": {
        "encoder.timm_name": "swin_tiny_patch4_window7_224",
        "encoder.timm_args": SWIN,
        "views.size": 64,
    },
}
RADIAL = {
    "kind": "radial",
    "radius": 16.0,
    "radius_size": 224,
    "radius_outer": None,
    "low_pass_prob": 0.5,
    "pairing": "one_of_each",
}
GABOR = {
    "kind": "gabor",
    "orientations": 4,
    "frequencies": [16.0, 64.0],
    "octaves": 1.0,
    "num_chosen": 2,
    "hide_prob": 0.5,
    "radius_size": 224,
    "pairing": "independent",
}
RANDOM = {
    "kind": "random",
    "thresholds": [0.05],
    "p_few": 0.5,
    "threshold_draw": "view",
    "pairing": "independent",
}
NO_FILTER = {"method.filter": None, "method.reconstruction.region": "all"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "scenes"
    prepare_scenes(folder, num_train=10, num_val=10, num_unlabeled=0)
    return folder


def trained(dataset, work, recipe, **changes):
    """Run the task; returns its metrics and its history."""
    loaded = load_recipe("pretrain", RECIPES / f"{recipe}.yaml", changes)
    metrics = do_stage("pretrain", loaded, work, dataset=dataset)
    return metrics, read_history(work / "metrics.jsonl")


@pytest.mark.parametrize("teacher_view", ["full", "spatial"])
def test_colors_changed_on_the_device_train_as_those_of_the_loader(dataset, tmp_path, teacher_view):
    losses = {}
    for colors in ("loader", "device"):
        changes = {
            "views.augment": "dino",
            "views.jitter": 1.0,
            "views.colors": colors,
            "method.distillation.teacher_view": teacher_view,
        }
        _, history = trained(dataset, tmp_path / colors, "demo-folk", **SHORT, **changes)
        losses[colors] = [line["loss"] for line in history]

    # Values that differ by a gray level hardly move the loss; other parameters would.
    assert losses["device"] == pytest.approx(losses["loader"], rel=2e-3)


@pytest.mark.parametrize("recipe", ["demo-mfm", "demo-folk"])
@pytest.mark.parametrize("encoder", ["vit", "resnet", "swin"])
def test_mfm_and_folk_train_vits_and_networks_without_class_token(
    dataset, tmp_path, recipe, encoder
):
    metrics, history = trained(dataset, tmp_path, recipe, **SHORT, **ENCODERS[encoder])

    assert metrics["updates"] == len(history) == 2
    assert all(math.isfinite(line["loss"]) and line["grad_norm"] > 0 for line in history)
    card = json.loads((tmp_path / "encoder.json").read_text())
    # The teacher hardly moves in two updates.
    folder = tmp_path / "student" if recipe == "demo-folk" else tmp_path
    end = load_file(folder / "encoder.safetensors")
    seed_all(0, "initial weights")
    start = create_encoder(card["timm_name"], card["timm_args"])
    assert start.state_dict().keys() == end.keys()
    assert all((value != end[key]).any() for key, value in start.named_parameters())
    assert ("distillation" in card["method"]) == (recipe == "demo-folk")


@pytest.mark.parametrize("part", [RADIAL, GABOR, RANDOM], ids=lambda part: part["kind"])
@pytest.mark.parametrize("recipe", ["demo-mfm", "demo-folk"])
def test_any_filter_goes_with_and_without_distillation(dataset, tmp_path, part, recipe):
    _, history = trained(dataset, tmp_path, recipe, **SHORT, **{"method.filter": part})

    card = json.loads((tmp_path / "encoder.json").read_text())
    expected = f"{part['kind']} + reconstruction"
    assert card["method"] == expected + (" + distillation" if recipe == "demo-folk" else "")
    assert ("loss/distillation" in history[0]) == (recipe == "demo-folk")
    assert len(np.load(tmp_path / "examples.npz")["names"]) == 2


@pytest.mark.parametrize(
    "part",
    [
        {"kind": "sr", "factor": 8},
        {"kind": "deblur", "sigma": 5.0, "min_size": 7, "max_size": 21},
        {"kind": "denoise", "level": 75.0},
    ],
    ids=lambda part: part["kind"],
)
def test_every_restoration_task_trains(dataset, tmp_path, part):
    changes = {**SHORT, **NO_FILTER, "method.degradation": part}
    _, history = trained(dataset, tmp_path, "demo-mfm", **changes)

    assert all(math.isfinite(line["loss/reconstruction"]) for line in history)
    examples = np.load(tmp_path / "examples.npz")
    assert examples["names"].tolist() == [part["kind"]]
    assert examples["keep"].all()
    assert (examples["filtered"][0] != examples["images"]).any()


@pytest.mark.parametrize("recipe", ["demo-mfm", "demo-mfm-com", "demo-folk"])
def test_a_batch_cut_to_fit_the_memory_trains_the_same(dataset, tmp_path, recipe):
    changes = {**SHORT, "optim.batch": 8, "optim.lr": 1e-3}
    _, whole = trained(dataset, tmp_path / "whole", recipe, **changes)
    _, cut = trained(dataset, tmp_path / "cut", recipe, **changes, **{"runtime.max_batch": 2})

    assert "loss/reconstruction" in whole[0]
    of_images_at_once = {"feature_std", "teacher_entropy_of_mean"}
    for name in whole[0].keys() - {"updates_per_second"} - of_images_at_once:
        assert cut[0][name] == pytest.approx(whole[0][name], rel=1e-4), name
    end = [load_file(tmp_path / each / "encoder.safetensors") for each in ("whole", "cut")]
    for key, value in end[0].items():
        torch.testing.assert_close(end[1][key], value, rtol=0.01, atol=2e-4, msg=key)


def test_student_and_teacher_are_saved_and_the_recipe_says_which_is_measured(dataset, tmp_path):
    def runs(measured):
        changes = {**SHORT, "method.distillation.encoder": measured}
        trained(dataset, tmp_path / measured, "demo-folk", **changes)
        other = "student" if measured == "teacher" else "teacher"
        (encoder, info), (beside, _) = map(
            load_encoder, (tmp_path / measured, tmp_path / measured / other)
        )
        assert info.method == "com-rcom + reconstruction + distillation"
        return {measured: encoder.state_dict(), other: beside.state_dict()}

    one, two = runs("teacher"), runs("student")

    seed_all(0, "initial weights")
    recipe = load_recipe("pretrain", RECIPES / "demo-folk.yaml").encoder
    start = create_encoder(recipe.timm_name, recipe.timm_args).state_dict()
    moved = {}
    for which in ("student", "teacher"):
        assert all(torch.equal(one[which][key], two[which][key]) for key in start)
        moved[which] = sum((one[which][key] - start[key]).square().sum() for key in start)
    # The teacher follows slowly, so the student is farther from where both began.
    assert moved["student"] > 100 * moved["teacher"] > 0


def test_without_a_teacher_one_encoder_is_saved(dataset, tmp_path):
    trained(dataset, tmp_path / "run", "demo-mfm", **SHORT)

    assert not (tmp_path / "run/student").exists()
    assert not (tmp_path / "run/teacher").exists()


@pytest.mark.parametrize("recipe", ["demo-mfm", "demo-folk"])
def test_a_decoder_trains_with_the_class_token(dataset, tmp_path, recipe):
    changes = {**SHORT, "method.reconstruction.decoder_depth": 1}
    metrics, _ = trained(dataset, tmp_path, recipe, **changes)

    assert math.isfinite(metrics["loss"])


@pytest.mark.parametrize(
    "change",
    [
        {"method.distillation.teacher_view": "spatial"},
        {"method.distillation.reduce": "mean"},
        {"method.distillation.head": "plain_mlp3"},
        {"method.distillation.norm_last_layer": False},
        {"method.reconstruction.form": "norm"},
        {"method.reconstruction.filter_stage": "after", "method.reconstruction.clamp": False},
    ],
    ids=str,
)
def test_each_open_choice_of_folk_trains_and_changes_the_encoder(dataset, tmp_path, change):
    # Two epochs, since a gain acts on the encoder one update after its own first change.
    longer = {**SHORT, "optim.epochs": 2}
    trained(dataset, tmp_path / "as-assumed", "demo-folk", **longer)
    metrics, _ = trained(dataset, tmp_path / "otherwise", "demo-folk", **longer, **change)

    assert math.isfinite(metrics["loss"])
    weights = [
        load_file(tmp_path / name / "encoder.safetensors") for name in ("as-assumed", "otherwise")
    ]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_the_history_says_which_share_of_values_was_clipped(dataset, tmp_path):
    high = {**RADIAL, "low_pass_prob": 0.0}
    _, history = trained(dataset, tmp_path, "demo-mfm", **SHORT, **{"method.filter": high})

    assert all(0.3 < line["clipped_share"] < 0.7 for line in history)


def test_the_weight_matrix_is_a_switch_of_the_recipe(dataset, tmp_path):
    matrix = {"alpha": 1.0, "log": False, "maximum": "image"}
    changes = {**SHORT, "method.reconstruction.weight_matrix": matrix}

    _, plain = trained(dataset, tmp_path / "plain", "demo-mfm", **SHORT)
    _, weighted = trained(dataset, tmp_path / "weighted", "demo-mfm", **changes)

    assert weighted[0]["loss"] < 0.9 * plain[0]["loss"]


def test_a_row_can_be_somebody_elses_weights(dataset, tmp_path):
    torch.manual_seed(5)
    args = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
    theirs = create_encoder("vit_tiny_patch16_224", args)
    path = tmp_path / "theirs.safetensors"
    save_file({f"net.{k}": v for k, v in theirs.state_dict().items()}, path)
    checkpoint = {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "entry": None,
        "prefix": "net.",
        "ignore": [],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    }
    changes = {
        "encoder.timm_name": "vit_tiny_patch16_224",
        "encoder.timm_args": args,
        "encoder.checkpoint": checkpoint,
    }

    metrics, history = trained(dataset, tmp_path / "work", "demo-scratch", **changes)

    card = json.loads((tmp_path / "work/encoder.json").read_text())
    stored = load_file(tmp_path / "work/encoder.safetensors")
    assert all(torch.equal(value, stored[key]) for key, value in theirs.state_dict().items())
    assert (card["method"], card["mean"]) == ("external", [0.5, 0.5, 0.5])
    assert (metrics.keys(), history) == ({"parameters"}, [])


@pytest.mark.slow
def test_a_compiled_model_is_one_graph_and_trains_the_same():
    # In a process of its own: what checks shapes in the tests would cut the graph.
    recipes = ["demo-mfm", "demo-folk", "demo-folk:2"]
    command = [sys.executable, "-m", "tests.stages.compiled", *recipes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for recipe, said in json.loads(done.stdout).items():
        assert said["compiled"] == pytest.approx(said["plain"], rel=1e-5), recipe
        assert len(set(said["plain"])) == len(said["plain"]) > 2, recipe
        assert said["graphs"] == 1, recipe
