"""Published means and deviations come out of our own arithmetic."""

import pytest

from folk.evidence.results.metrics.intervals import deviation, mean

# CoinCheung/MFM@e4ce8db: four pre-trainings of ResNet-50, three fine-tunings each, top-1 %.
COINCHEUNG = [
    [78.654, 78.610, 78.668],
    [78.646, 78.790, 78.490],
    [78.516, 78.626, 78.694],
    [78.608, 78.668, 78.476],
]
MAE_SEEDS = [83.63, 83.66, 83.52, 83.46]  # facebookresearch/mae@efb2a80, FINETUNE.md


def population_deviation(values):
    return deviation(values) * ((len(values) - 1) / len(values)) ** 0.5


def test_the_seeds_of_mae_have_the_published_mean_and_deviation():
    assert mean(MAE_SEEDS) == pytest.approx(83.5675)
    assert population_deviation(MAE_SEEDS) == pytest.approx(0.081, abs=5e-4)


def test_the_runs_of_coincheung_have_the_published_means_and_deviations():
    runs = [value for three in COINCHEUNG for value in three]

    assert [round(mean(three), 3) for three in COINCHEUNG] == [78.644, 78.642, 78.612, 78.584]
    found = [round(population_deviation(three), 3) for three in COINCHEUNG]
    assert found == pytest.approx([0.024, 0.122, 0.073, 0.080], abs=1.1e-3)
    assert mean(runs) == pytest.approx(78.6205, abs=5e-5)
    assert population_deviation(runs) == pytest.approx(0.086, abs=5e-4)
