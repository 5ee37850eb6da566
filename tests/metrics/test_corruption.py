"""Corruption errors are those of ImageNet-C's definition, from stored predictions alone."""

import numpy as np
import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.corruption import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERROR,
    ALEXNET_ERROR_EXTRA,
    C_BAR,
    SEVERITIES,
    corruption_error,
    corruption_split,
    mce,
    relative_mce,
    robustness_metrics,
)
from folk.evidence.results.metrics.variants import accuracy_of_variants, write_variants
from tests.faults.table import fault

ALEXNET = {name: dict.fromkeys(SEVERITIES, error / 100) for name, error in ALEXNET_ERROR.items()}


def store(path, accuracies):
    """Predictions of 20 images for each variant, of which a share is right."""
    with write_variants(path) as predictions:
        for name, accuracy in accuracies.items():
            logits = np.zeros((20, 3))
            logits[np.arange(20), np.where(np.arange(20) < round(20 * accuracy), 1, 2)] = 1.0
            keys = [f"{i}" for i in range(20)]
            predictions.add(name, keys, np.ones(20, dtype=int), logits)


def test_the_denominators_are_15_with_the_known_mean():
    assert len(ALEXNET_ERROR) == 15
    assert sum(ALEXNET_ERROR.values()) / 15 == pytest.approx(78.8993, abs=5e-5)
    assert not ALEXNET_ERROR.keys() & ALEXNET_ERROR_EXTRA.keys()
    assert len(ALEXNET_ERROR_EXTRA) == 4
    assert len(C_BAR) == 10


def test_alexnet_itself_has_an_mce_of_one():
    assert mce(ALEXNET) == pytest.approx(1.0)
    assert relative_mce(ALEXNET, ALEXNET_CLEAN_ERROR / 100) == pytest.approx(1.0)


def test_a_ce_is_the_sum_of_errors_over_alexnets_sum():
    errors = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}

    assert corruption_error("fog", errors) == pytest.approx(1.5 / (5 * 0.819324))


def test_mce_weighs_corruptions_by_alexnet():
    errors = ALEXNET | {"brightness": dict.fromkeys(SEVERITIES, 0.0)}

    assert mce(errors) == pytest.approx(14 / 15)


def test_extras_do_not_enter_the_mean():
    extra = {name: dict.fromkeys(SEVERITIES, 0.0) for name in ALEXNET_ERROR_EXTRA}

    assert mce(ALEXNET | extra) == pytest.approx(1.0)


@fault("Numbers", "a corruption or severity without predictions", "no mCE; refused by name")
def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="missing: fog, frost"):
        mce({name: e for name, e in ALEXNET.items() if name not in ("fog", "frost")})
    with pytest.raises(InputError, match="fog: expected severities 1 to 5, got 1, 2"):
        corruption_error("fog", {1: 0.5, 2: 0.5})
    with pytest.raises(InputError, match=r"unknown corruption 'fogg' .*; did you mean 'fog'"):
        corruption_error("fogg", ALEXNET["fog"])


def test_a_split_is_a_corruption_only_with_a_severity_of_1_to_5():
    assert corruption_split("jpeg_compression-5") == ("jpeg_compression", 5)
    assert corruption_split("val") is None
    assert corruption_split("fog-6") is None


def test_all_numbers_come_from_the_stored_predictions(tmp_path):
    accuracies = {"clean": 0.8, "sketch": 0.3, "fgsm": 0.1}
    accuracies |= {f"c/{name}-{s}": 0.5 for name in ALEXNET_ERROR for s in SEVERITIES}
    accuracies |= {f"c/saturate-{s}": 1.0 for s in SEVERITIES}
    accuracies |= {f"in-memory/fog-{s}": 1.0 - s / 10 for s in SEVERITIES}
    path = tmp_path / "p.parquet"
    store(path, accuracies)

    found = robustness_metrics(path)

    assert found["top1_clean"] == pytest.approx(0.8)
    assert found["top1_fgsm"] == pytest.approx(0.1)
    assert found["error_c"] == pytest.approx(0.5)  # saturate is an extra and stays out
    assert found["error_c_saturate"] == pytest.approx(0.0)
    assert found["error_in-memory"] == pytest.approx(0.3)
    assert found["mce_c"] == pytest.approx(np.mean([50 / e for e in ALEXNET_ERROR.values()]))
    relative = [30 / (e - ALEXNET_CLEAN_ERROR) for e in ALEXNET_ERROR.values()]
    assert found["relative_mce_c"] == pytest.approx(np.mean(relative))
    assert "mce_in-memory" not in found


def test_c_bar_is_whole_or_refused(tmp_path):
    whole = {f"bar/{name}-{s}": 0.25 for name in C_BAR for s in SEVERITIES}
    store(tmp_path / "whole.parquet", whole)
    store(tmp_path / "part.parquet", {k: v for k, v in whole.items() if "perlin" not in k})

    assert robustness_metrics(tmp_path / "whole.parquet")["error_bar"] == pytest.approx(0.75)
    with pytest.raises(InputError, match="'bar': missing perlin_noise"):
        robustness_metrics(tmp_path / "part.parquet")


def test_variants_keep_their_names_and_differ_in_them(tmp_path):
    path = tmp_path / "p.parquet"
    store(path, {"b": 0.5, "a": 0.25})

    assert accuracy_of_variants(path) == {"b": 0.5, "a": 0.25}
    two = np.eye(2)
    with write_variants(path) as predictions:  # fewer than five classes beside many
        predictions.add("two", ["x", "y"], np.array([0, 0]), two)
        predictions.add("seven", ["x"], np.array([6]), np.arange(7.0)[None])
        with pytest.raises(InputError, match="duplicate variant 'two'"):
            predictions.add("two", ["x", "y"], np.array([0, 0]), two)
    assert accuracy_of_variants(path) == {"two": 0.5, "seven": 1.0}


def test_no_variant_is_an_empty_file_and_another_file_is_refused(tmp_path):
    with write_variants(tmp_path / "empty.parquet"):
        pass
    (tmp_path / "other.parquet").write_text("no")

    assert accuracy_of_variants(tmp_path / "empty.parquet") == {}
    with pytest.raises(InputError, match=r"other\.parquet: invalid predictions"):
        accuracy_of_variants(tmp_path / "other.parquet")
