"""The verdict says no more than interval and margin allow."""

import pytest

from folk.report.verdicts import RULES, verdict


@pytest.mark.parametrize(
    ("mean", "low", "high", "word"),
    [
        (83.4, 83.3, 83.5, "reproduced"),
        (83.4, 83.2, 83.6, "reproduced"),  # the ends belong to the margin
        (83.5, 83.3, 83.7, "within tolerance"),
        (83.5, None, None, "within tolerance"),
        (83.7, 83.5, 83.9, "inconclusive"),
        (83.7, None, None, "inconclusive"),
        (82.0, None, None, "inconclusive"),  # one seed has no interval, however far it is
        (82.0, 81.5, 82.5, "not reproduced"),
        (84.5, 84.2, 84.8, "not reproduced"),  # better is not the same either
        (None, None, None, "not attempted"),
    ],
)
def test_at_the_papers_scale_interval_and_margin_decide(mean, low, high, word):
    found = verdict(scale="paper", mean=mean, low=low, high=high, published=83.4, margin=0.2)

    assert found == word


@pytest.mark.parametrize("mean", [None, 83.4, 12.0])
def test_a_demo_is_never_compared(mean):
    found = verdict(scale="demo", mean=mean, low=None, high=None, published=83.4, margin=0.2)

    assert found == "not comparable (scale)"


def test_without_a_margin_nothing_is_the_same_or_different():
    found = verdict(scale="paper", mean=83.4, low=83.4, high=83.4, published=83.4, margin=None)

    assert found == "inconclusive"


def test_every_verdict_has_its_rule_in_words():
    assert set(RULES) == {
        "reproduced",
        "within tolerance",
        "not reproduced",
        "inconclusive",
        "not attempted",
        "not comparable (scale)",
    }
