"""The table of the bench says what its repetitions say."""

import importlib

import pytest

from tests.bench.__main__ import ROWS
from tests.bench.measure import Row, in_turns


def test_a_ratio_is_the_median_over_turns_that_follow_each_other():
    # The machine was slow in the second turn, for both.
    row = Row("ours", "theirs", "s", [1.0, 10.0, 1.1], [2.0, 20.0, 2.0], reach=0.5)

    assert row.figure == pytest.approx(0.5)
    assert row.reached
    assert row.as_json()["ours_spread"] == [1.0, 1.1, 10.0]


@pytest.mark.parametrize(("at_least", "reached"), [(True, True), (False, False)])
def test_what_is_to_be_more_is_reached_from_above(at_least, reached):
    row = Row("speed", "", "GB/s", [3.0], reach=2.0, at_least=at_least)

    assert row.reached is reached


def test_both_sides_take_turns_after_one_that_is_not_counted():
    calls = []

    def says(name):
        return lambda: calls.append(name) or float(len(calls))

    ours, baseline = in_turns(says("a"), says("b"), 2)

    assert "".join(calls) == "ababab"
    assert (ours, baseline) == ([3.0, 5.0], [4.0, 6.0])


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_a_module_that_measures_it(name):
    assert callable(importlib.import_module(f"tests.bench.{name}").rows)
