"""A pre-training is observed while it runs, and observing changes nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from folk.data.prepare import prepare_scenes
from folk.data.shards import PreparedData
from folk.models.encoder import create_encoder
from folk.stages import monitor
from folk.stages.monitor import OnlineKnn, warning_of_collapse
from folk.stages.table import load_recipe
from folk.stages.tasks.pretrain import build_method
from folk.training.distributed import World
from folk.training.history import read_history
from folk.training.loop import StoppedError
from tests.toy import do_stage

CPU = World(0, 1, torch.device("cpu"))
SHORT = {
    "optim.epochs": 2, "optim.batch": 32, "optim.warmup_epochs": 0.5, "runtime.log_every": 2,
}  # fmt: skip


def trained(dataset, work, recipe="demo-folk", world=CPU, live=lambda _step, _values: None, **more):
    """Train; returns the encoder's bytes and the history."""
    path = Path(f"config/recipes/pretrain/{recipe}.yaml")
    loaded = load_recipe("pretrain", path, {**SHORT, **more})
    do_stage("pretrain", loaded, work, dataset=dataset, world=world, live=live)
    return (work / "encoder.safetensors").read_bytes(), read_history(work / "metrics.jsonl")


@pytest.mark.parametrize("recipe", ["demo-mfm", "demo-folk", "demo-resnet-folk"])
def test_an_encoder_is_the_same_byte_by_byte_with_and_without_indicators(
    few_scenes, tmp_path, monkeypatch, recipe
):
    watched, history = trained(few_scenes, tmp_path / "watched", recipe)
    monkeypatch.setattr("folk.methods.base.feature_std", lambda _features: {})
    monkeypatch.setattr("folk.methods.folk.teacher_entropies", lambda *_of: {})
    plain, bare = trained(few_scenes, tmp_path / "plain", recipe, **{"runtime.knn_every": 0})

    names = {name for line in history for name in line} - {name for line in bare for name in line}
    of_teacher = {"teacher_entropy", "teacher_entropy_of_mean"} if recipe != "demo-mfm" else set()
    assert names == {"feature_std", "online_knn_top1"} | of_teacher
    assert watched == plain


def accuracies(history):
    return [
        (line["step"], line["online_knn_top1"]) for line in history if "online_knn_top1" in line
    ]


def test_the_accuracy_is_logged_at_the_end_of_every_so_many_epochs(few_scenes, tmp_path):
    _, history = trained(few_scenes, tmp_path, **{"optim.epochs": 4, "runtime.knn_every": 2})

    assert [step for step, _ in accuracies(history)] == [10, 20]  # of 5 updates per epoch


def test_a_resumed_training_has_the_accuracies_of_an_undisturbed_one(few_scenes, tmp_path):
    _, whole = trained(few_scenes, tmp_path / "whole")
    limit = {"deadline": float("inf")}

    class Limited(World):
        def out_of_time(self):
            return limit.pop("now", False)

    def stop_after_the_first_epoch(step, values):
        if "online_knn_top1" in values:
            limit["now"] = True

    world = Limited(0, 1, torch.device("cpu"))
    with pytest.raises(StoppedError):
        trained(few_scenes, tmp_path / "cut", world=world, live=stop_after_the_first_epoch)
    _, resumed = trained(few_scenes, tmp_path / "cut")

    assert len(accuracies(whole)) == 2
    assert accuracies(resumed) == accuracies(whole)


def test_images_without_labels_have_no_accuracy(tmp_path):
    prepare_scenes(tmp_path / "data", num_train=1, num_val=2, num_unlabeled=40, size=32)

    _, history = trained(tmp_path / "data", tmp_path / "run", "demo-mfm")

    assert not accuracies(history)
    assert history[-1]["feature_std"] > 0


def test_the_accuracy_is_that_of_20_neighbors_counted_one_by_one(few_scenes, monkeypatch):
    monkeypatch.setattr(monitor, "ONE_OF", 1)
    torch.manual_seed(0)
    recipe = load_recipe("pretrain", Path("config/recipes/pretrain/demo-mfm.yaml"))
    encoder = create_encoder(recipe.encoder.timm_name, recipe.encoder.timm_args)
    method = build_method(recipe.method, encoder)
    knn = OnlineKnn(PreparedData.open(few_scenes), 32, 180)

    found = knn(encoder, method, batch=32, precision="fp32", world=CPU)

    assert (len(knn._images), knn._num_queries) == (150, 50)
    encoder.eval()
    with torch.no_grad():
        maps = encoder.forward_features(method.normalize(knn._images / 255.0))[:, 1:]
    rows = maps.mean(dim=1).double().numpy()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    right = 0
    for query, label in zip(rows[:50], knn._labels[:50], strict=True):
        near = np.argsort(-(rows[50:] @ query), kind="stable")[:20]
        votes = np.bincount(
            knn._labels[50:][near], np.exp((rows[50:] @ query)[near] / 0.07), minlength=10
        )
        right += votes.argmax() == label
    assert found == {"online_knn_top1": pytest.approx(right / 50)}


def test_only_images_of_the_training_split_are_looked_at(few_scenes, monkeypatch):
    asked = []
    split = PreparedData.split
    monkeypatch.setattr(PreparedData, "split", lambda s, n: asked.append(n) or split(s, n))

    OnlineKnn(PreparedData.open(few_scenes), 32, 180)

    assert asked == ["train"]


@pytest.mark.parametrize("sign", [{"feature_std": 1e-4}, {"teacher_entropy_of_mean": 0.01}])
def test_a_collapse_gives_one_line_after_the_first_epoch(capsys, sign):
    seen = []
    live = warning_of_collapse(lambda step, _values: seen.append(step), 10)

    for step in (5, 10, 15, 20):
        live(step, {"loss": 1.0, **sign})

    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["warning", "update 15"]]
    assert next(iter(sign)) in lines[0]
    assert seen == [5, 10, 15, 20]


def test_a_healthy_training_gives_no_line(capsys):
    live = warning_of_collapse(lambda _step, _values: None, 0)

    live(5, {"feature_std": 0.8, "teacher_entropy_of_mean": 1.9})
    live(6, {"online_knn_top1": 0.1})

    assert capsys.readouterr().err == ""
