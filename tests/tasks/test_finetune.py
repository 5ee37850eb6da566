"""Fine-tuning by RSB's rules: LAMB, binary cross-entropy, repeats, a test larger than training."""

from pathlib import Path

import pytest
import torch

from folk.metrics.classification import top_k_of_file
from folk.recipes import load_recipe
from folk.tasks.finetune import finetune
from folk.training.distributed import World

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


@pytest.fixture(scope="module")
def resnet(store_encoder):
    return store_encoder("resnet10t", {})


def test_rsb_trains_at_one_size_and_tests_at_another(resnet, few_scenes, tmp_path):
    metrics = finetune(
        load_recipe("finetune", Path("config/recipes/finetune/rsb-a3.yaml"), SMALL),
        encoder=resnet,
        dataset=few_scenes,
        split=None,
        work=tmp_path,
        seed=0,
        identity="x",
        world=World(0, 1, torch.device("cpu")),
        live=lambda update, values: None,
    )

    assert metrics["updates"] == 150 // 50
    assert metrics["top1_last"] == top_k_of_file(tmp_path / "predictions.parquet", 1)
    # A yes or no for each of ten classes costs ln 2 at first; cross-entropy would cost ln 10.
    assert 0.3 < metrics["loss_last"] < 0.75
