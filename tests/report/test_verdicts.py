"""The verdict says no more than interval and margin allow."""

import pytest

from folk.evidence.results.verdicts import CLAIM_RULES, RULES, Step, order_verdict, verdict


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


def test_a_best_epoch_beside_a_last_one_is_not_judged():
    found = verdict(
        scale="paper", mean=83.4, low=83.3, high=83.5, published=83.4, margin=0.2, same_epoch=False
    )

    assert found == "not comparable (epoch)"


UP, DOWN = Step(0.5, 0.1, 0.9), Step(-0.5, -0.9, -0.1)
UNSURE, FALLING = Step(0.2, -0.1, 0.5), Step(-0.2, -0.5, 0.1)


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([UP, UP], "reproduced"),
        ([UP, UNSURE], "within tolerance"),
        ([UP, Step(0.5, None, None)], "within tolerance"),
        ([UP, FALLING], "inconclusive"),
        ([UP, Step(-9.0, None, None)], "inconclusive"),  # one seed, however far down
        ([UP, Step(0.0, 0.0, 0.0)], "inconclusive"),
        ([UP, DOWN], "not reproduced"),
        ([UNSURE, DOWN], "not reproduced"),
        ([UP, Step(None, None, None)], "not attempted"),
    ],
)
def test_every_step_decides_over_an_order(steps, word):
    assert order_verdict(scale="paper", steps=steps) == word
    assert order_verdict(scale="demo", steps=steps) == "not comparable (scale)"


WORDS = {
    "reproduced",
    "within tolerance",
    "not reproduced",
    "inconclusive",
    "not attempted",
    "not comparable (epoch)",
    "not comparable (scale)",
}


@pytest.mark.parametrize(("low", "high"), [(80.0, None), (None, 80.0)])
def test_half_an_interval_is_none(low, high):
    said = {"scale": "paper", "mean": 80.0, "published": 80.0, "margin": 1.0}

    assert verdict(**said, low=low, high=high) == "within tolerance"


def test_every_verdict_has_its_rule_in_words():
    assert set(RULES) == WORDS
    assert set(CLAIM_RULES) == {"order", "difference", "equal"}
    assert all(set(rules) == WORDS for rules in CLAIM_RULES.values())
