"""Intervals agree with published tables and with their own promise of coverage."""

import numpy as np
import pytest
import scipy.stats

from folk.evidence.results.metrics.intervals import (
    Scatter,
    contrast_interval,
    deviation,
    difference_interval,
    mean,
    nested_scatter,
    resampled_means,
    seed_interval,
)
from tests.conformance.test_statistics import COINCHEUNG
from tests.faults.table import fault


def test_deviation_divides_by_one_less_than_the_number_of_seeds():
    assert mean([1.0, 2.0, 4.0]) == pytest.approx(7 / 3)
    assert deviation([1.0, 3.0]) == pytest.approx(2**0.5)


@fault("Numbers", "one seed", "a mean without deviation and without interval")
def test_one_seed_has_neither_deviation_nor_interval():
    assert deviation([0.5]) is None
    assert seed_interval([0.5]) is None


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776)])
def test_seed_interval_uses_the_tabulated_t_quantiles(n, quantile):
    values = [float(v) for v in range(n)]
    spread = deviation(values)

    found = seed_interval(values)

    assert found.high - mean(values) == pytest.approx(quantile * spread / n**0.5, rel=5e-4)
    assert found.low + found.high == pytest.approx(2 * mean(values))


def test_seed_interval_holds_the_true_mean_about_95_times_in_100():
    draw = np.random.default_rng(1)
    samples = draw.normal(3.0, 0.5, size=(1000, 3))

    found = [seed_interval(list(map(float, sample))) for sample in samples]

    covered = sum(i.low <= 3.0 <= i.high for i in found)
    assert 930 <= covered <= 970


def test_an_interval_of_a_difference_is_welchs_by_hand():
    # Means 4 and 1, variances 4 and 1, n = 3: standard error sqrt(5/3), 2.9412 degrees of freedom.
    found = difference_interval([2.0, 4.0, 6.0], [0.0, 1.0, 2.0])

    assert (found.low + found.high) / 2 == pytest.approx(3.0)
    # t(0.975) falls from 4.3027 at 2 degrees to 3.1824 at 3.
    reach = (found.high - 3.0) / (5 / 3) ** 0.5
    assert reach == pytest.approx(3.2196, abs=2e-3)


def test_an_interval_of_a_difference_is_that_of_scipys_test():
    above, below = [83.4, 83.1, 83.6, 83.3], [82.9, 83.0, 82.2]

    found = difference_interval(above, below, 0.9)

    test = scipy.stats.ttest_ind(above, below, equal_var=False).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((test.low, test.high))


def test_an_interval_of_a_difference_holds_the_true_one_about_95_times_in_100():
    draw = np.random.default_rng(2)
    pairs = zip(
        draw.normal(3.0, 0.5, (1000, 4)).tolist(),
        draw.normal(1.0, 0.1, (1000, 3)).tolist(),
        strict=True,
    )

    found = [difference_interval(above, below) for above, below in pairs]

    assert 930 <= sum(i.low <= 2.0 <= i.high for i in found) <= 970


def test_one_seed_on_either_side_gives_no_interval_and_no_scatter_gives_a_point():
    assert difference_interval([1.0], [1.0, 2.0]) is None
    assert difference_interval([1.0, 2.0], [1.0]) is None
    point = difference_interval([3.0, 3.0], [1.0, 1.0])
    assert (point.low, point.high) == (2.0, 2.0)


def test_images_are_drawn_together_for_all_columns():
    right = np.stack([np.arange(100) < 70, np.arange(100) < 70, np.arange(100) >= 70], axis=1)

    means = resampled_means(right * 1, generator=np.random.default_rng(0), resamples=50)

    assert means.shape == (50, 3)
    assert (means[:, 0] == means[:, 1]).all()
    assert means[:, 0] + means[:, 2] == pytest.approx(np.ones(50))


def test_groups_of_equal_images_scatter_as_images_drawn_one_by_one():
    values = np.random.default_rng(5).integers(0, 4, size=(300, 2))
    draw = np.random.default_rng(6)
    slow = np.stack([values[draw.integers(0, 300, 300)].mean(axis=0) for _ in range(4000)])

    quick = resampled_means(values, generator=np.random.default_rng(7), resamples=4000)

    assert quick.mean(axis=0) == pytest.approx(slow.mean(axis=0), abs=0.005)
    assert np.cov(quick.T) == pytest.approx(np.cov(slow.T), rel=0.1, abs=4e-4)


def test_the_one_public_nested_measurement_estimates_no_scatter_between_pre_trainings():
    # Squares within the runs: .00185, .04500, .01612, .01915 over 2 each; means' variance .00081.
    found = nested_scatter(COINCHEUNG)

    assert found.within == pytest.approx(0.101, abs=5e-4)
    assert found.between == 0.0
    assert deviation([value for run in COINCHEUNG for value in run]) == pytest.approx(
        0.090, abs=5e-4
    )


def test_nested_scatter_is_that_of_the_analysis_of_variance_by_hand():
    # Means 1 and 5: variance 8. Within: variances 2 and 8, mean 5. Between: 8 - 5 / 2 = 5.5.
    found = nested_scatter([[0.0, 2.0], [3.0, 7.0]])

    assert found.within == pytest.approx(5**0.5)
    assert found.between == pytest.approx(5.5**0.5)


def test_nested_scatter_finds_the_deviations_that_runs_were_drawn_with():
    draw = np.random.default_rng(4)
    runs = draw.normal(0.0, 0.3, (4000, 1)) + draw.normal(0.0, 0.4, (4000, 3))

    found = nested_scatter([list(map(float, run)) for run in runs])

    assert (found.within, found.between) == pytest.approx((0.4, 0.3), rel=0.03)


@pytest.mark.parametrize("runs", [[], [[1.0]], [[1.0], [2.0]]])
def test_single_measurements_have_no_parts_of_scatter(runs):
    assert nested_scatter(runs) == Scatter(None, None)


def test_the_interval_over_means_of_nested_runs_covers_as_often_as_it_promises():
    draw = np.random.default_rng(5)
    runs = draw.normal(0.0, 0.3, (2000, 4, 1)) + draw.normal(0.0, 0.4, (2000, 4, 3))
    found = [seed_interval(list(map(float, study.mean(axis=1)))) for study in runs]

    covered = sum(i.low <= 0.0 <= i.high for i in found)
    assert 0.935 <= covered / 2000 <= 0.965


def test_means_of_groups_differ_by_the_interval_of_satterthwaite():
    above, below = [[1.0, 3.0], [4.0, 4.5, 5.0]], [[0.0, 2.0]]
    variances = [2.0 / 2 / 4, 0.25 / 3 / 4, 2.0 / 2]
    freedom = sum(variances) ** 2 / (
        variances[0] ** 2 / 1 + variances[1] ** 2 / 2 + variances[2] ** 2 / 1
    )
    half = scipy.stats.t.ppf(0.975, freedom) * sum(variances) ** 0.5

    found = contrast_interval(above, below)

    assert (found.low, found.high) == pytest.approx((2.25 - half, 2.25 + half))
    assert contrast_interval([[1.0], [1.0, 2.0]], below) is None


def test_an_effect_of_twelve_runs_is_covered_in_95_of_100_studies_or_a_few_more():
    draw, covered, trials = np.random.default_rng(5), 0, 2000
    for _ in range(trials):
        groups = draw.normal(0.0, 1.0, (12, 2)).tolist()
        found = contrast_interval(groups[:6], groups[6:])
        covered += found.low <= 0.0 <= found.high

    # Two seeds know a variance badly, so that the degrees of freedom come out too few.
    assert 0.95 <= covered / trials <= 0.985
