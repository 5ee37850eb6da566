"""Fine-tuning by RSB's rules: LAMB, binary cross-entropy, repeats, a test larger than training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.classification import top_k_of_file
from folk.stages.table import load_recipe
from folk.stages.tasks.finetune import _loss
from tests.toy import do_stage

# RSB's recipe, at the size of the scenes.
SMALL = {
    "augment.size": 32,
    "augment.repeats": 3,
    "evaluate.resize": 47,
    "evaluate.crop": 45,
    "drop_path": 0.05,
    "optim.epochs": 1,
    "optim.batch": 50,
    "optim.lr_batch": 50,
    "optim.warmup_epochs": 0.0,
    "optim.precision": "fp32",
    "runtime.workers": 0,
    "runtime.max_batch": 25,
}


@pytest.mark.parametrize(
    ("threshold", "targets"), [(0.2, [1.0, 1.0, 0.0, 0.0]), (None, [0.6, 0.25, 0.15, 0.0])]
)
def test_binary_cross_entropy_cuts_targets_at_the_threshold_and_is_a_mean_over_classes(
    threshold, targets
):
    logits = np.array([2.0, -1.0, 0.5, -3.0])
    right, wrong = np.log1p(np.exp(-logits)), np.log1p(np.exp(logits))
    expected = (targets * right + (1 - np.array(targets)) * wrong).mean()

    mixed = torch.tensor([[0.6, 0.25, 0.15, 0.0]])
    found = _loss("bce", threshold)(torch.tensor(logits[None]).float(), mixed)

    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_a_threshold_of_targets_is_refused_with_cross_entropy():
    path = Path("config/recipes/finetune/mfm-vit-base.yaml")

    with pytest.raises(InputError, match=r"bce_threshold 0\.2 needs loss: bce, got ce"):
        load_recipe("finetune", path, {"bce_threshold": 0.2})


@pytest.fixture(scope="module")
def resnet(store_encoder):
    return store_encoder("resnet10t", {})


def test_rsb_trains_at_one_size_and_tests_at_another(resnet, few_scenes, tmp_path):
    recipe = load_recipe("finetune", Path("config/recipes/finetune/rsb-a3.yaml"), SMALL)
    metrics = do_stage("finetune", recipe, tmp_path, encoder=resnet, dataset=few_scenes)

    assert metrics["updates"] == 150 // 50
    assert metrics["top1_last"] == top_k_of_file(tmp_path / "predictions.parquet", 1)
    # A yes or no for each of ten classes costs ln 2 at first; cross-entropy would cost ln 10.
    assert 0.3 < metrics["loss_last"] < 0.75
