"""The verdict says no more than interval and margin allow."""

import pytest

from folk.evidence.results.verdicts import (
    CLAIM_RULES,
    CLAIM_RULES_HERE,
    RULES,
    Step,
    equal_here,
    order_here,
    order_verdict,
    rule_of,
    sign_here,
    verdict,
)


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
NOTHING = Step(None, None, None)
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
    assert order_verdict(steps) == word


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([UP, UP], "holds here"),
        ([UP, UNSURE], "undecided here"),
        ([UP, Step(0.5, None, None)], "undecided here"),
        ([UP, Step(-9.0, None, None)], "undecided here"),  # one seed, however far down
        ([UP, Step(0.5, 0.0, 1.0)], "undecided here"),  # an end at zero decides nothing
        ([UP, Step(-0.5, -1.0, 0.0)], "undecided here"),
        ([UP, DOWN], "fails here"),
        ([UNSURE, DOWN], "fails here"),
        ([UP, NOTHING], "not attempted"),
        ([DOWN, NOTHING], "not attempted"),
    ],
)
def test_every_step_decides_over_an_order_at_its_own_scale(steps, word):
    assert order_here(steps) == word


@pytest.mark.parametrize(
    ("step", "stated", "word"),
    [
        (UP, 1.0, "holds here"),
        (UP, -0.2, "fails here"),
        (DOWN, 10.7, "fails here"),
        (DOWN, -10.7, "holds here"),
        (UNSURE, 1.0, "undecided here"),
        (UNSURE, -1.0, "undecided here"),
        (UP, None, "undecided here"),  # nobody knows the published sign
        (UP, 0.0, "undecided here"),
        (Step(9.0, None, None), 1.0, "undecided here"),
        (NOTHING, 1.0, "not attempted"),
        (NOTHING, None, "not attempted"),
    ],
)
def test_the_sign_of_a_difference_is_tested_by_its_interval(step, stated, word):
    assert sign_here(step, stated) == word


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (Step(0.0, -0.9, 0.9), "holds here"),
        (Step(0.0, -1.0, 1.0), "holds here"),  # the ends belong to the margin
        (Step(0.2, -0.8, 1.2), "undecided here"),
        (Step(0.2, -1.2, 0.8), "undecided here"),
        (Step(1.5, 1.0, 2.0), "undecided here"),  # the end of the interval is inside
        (Step(1.5, 1.1, 1.9), "fails here"),
        (Step(-1.5, -1.9, -1.1), "fails here"),
        (Step(0.0, None, None), "undecided here"),
        (NOTHING, "not attempted"),
    ],
)
def test_two_cells_are_equal_if_the_interval_lies_inside_the_margin(step, word):
    assert equal_here(step, 1.0) == word


OF_PAPER = {"reproduced", "within tolerance", "not reproduced", "inconclusive", "not attempted"}
HERE = {"holds here", "fails here", "undecided here", "not attempted"}
EPOCH, SCALE = "not comparable (epoch)", "not comparable (scale)"


@pytest.mark.parametrize(("low", "high"), [(80.0, None), (None, 80.0)])
def test_half_an_interval_is_none(low, high):
    said = {"scale": "paper", "mean": 80.0, "published": 80.0, "margin": 1.0}

    assert verdict(**said, low=low, high=high) == "within tolerance"


def test_every_verdict_has_its_rule_in_words():
    assert set(RULES) == {*OF_PAPER, EPOCH, SCALE}
    assert set(CLAIM_RULES) == set(CLAIM_RULES_HERE) == {"order", "difference", "sign", "equal"}
    assert all(set(rules) - {EPOCH} == OF_PAPER for rules in CLAIM_RULES.values())
    assert all(set(rules) == HERE for rules in CLAIM_RULES_HERE.values())


def test_a_word_has_the_rule_of_its_kind_of_claim():
    assert "90 % interval" in rule_of("holds here", "equal")
    assert "stated side of zero" in rule_of("holds here", "difference")
    assert "published ± margin" in rule_of("reproduced", "difference")
    assert rule_of("holds here") == "not of this version"  # no word for a number
