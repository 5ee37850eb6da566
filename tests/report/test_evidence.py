"""Metrics are derived again from whatever predictions a stage has stored."""

import numpy as np
import pytest

from folk.evidence.results.evidence import recompute
from folk.evidence.results.metrics.variants import write_variants
from folk.stages.table import STAGES

RIGHT, WRONG = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])


def store(path, scores):
    with write_variants(path) as predictions:
        for name, logits in scores.items():
            predictions.add(name, ["x"], np.array([0]), logits)


def test_robustness_is_derived_from_its_variants(tmp_path):
    fog = {f"c/fog-{s}": RIGHT if s < 3 else WRONG for s in range(1, 6)}
    store(tmp_path / "predictions-variants.parquet", {"clean": RIGHT, "fgsm": WRONG} | fog)

    assert recompute(STAGES["robustness"], tmp_path, "top1_fgsm") == 0.0
    assert recompute(STAGES["robustness"], tmp_path, "error_c_fog") == pytest.approx(0.6)
    assert recompute(STAGES["robustness"], tmp_path, "num_val") is None


def test_k_shot_is_derived_from_its_splits(tmp_path):
    store(tmp_path / "predictions-kshot.parquet", {"1/0": RIGHT, "1/1": WRONG})

    assert recompute(STAGES["probe"], tmp_path, "kshot_top1_1") == 0.5
