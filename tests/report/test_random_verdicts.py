"""What holds of every verdict, whatever the numbers."""

import math

from hypothesis import given
from hypothesis import strategies as st

from folk.evidence.results.metrics import intervals
from folk.evidence.results.verdicts import (
    CLAIM_RULES,
    RULES,
    Step,
    equal_here,
    order_verdict,
    sign_here,
    verdict,
)
from tests.faults.table import fault

# Quarters: sums of them are exact, so that mirrored cases are mirrored to the last bit.
NUMBERS = st.integers(-400, 400).map(lambda number: number / 4)
REACHES = st.integers(0, 80).map(lambda number: number / 4)
MARGINS = st.integers(1, 80).map(lambda number: number / 4)
SCALES = st.sampled_from(["demo", "smoke", "paper", "", "Paper"])
ANY = st.floats(allow_nan=True, allow_infinity=True)
SURER = ["not reproduced", "inconclusive", "within tolerance", "reproduced"]


def at_paper_scale(mean, below, above, published, margin):
    """The verdict of a mean whose interval reaches so far below and above it."""
    low, high = (None, None) if below is None else (mean - below, mean + above)
    return verdict(scale="paper", mean=mean, low=low, high=high, published=published, margin=margin)


SPREADS = st.tuples(REACHES, REACHES) | st.just((None, None))


@fault(
    "Random",
    "any numbers, NaN and infinity among them, at any scale: the verdict about a cell",
    "always one of the seven words; below the papers' scale never any other than 'not comparable', "
    "and a number that is none never counts as reproduced",
)
@given(
    SCALES, st.none() | ANY, st.none() | ANY, st.none() | ANY, ANY, st.none() | ANY, st.booleans()
)
def test_there_is_always_a_verdict_and_below_the_papers_scale_only_one(
    scale, mean, low, high, published, margin, same_epoch
):
    word = verdict(
        scale=scale,
        mean=mean,
        low=low,
        high=high,
        published=published,
        margin=margin,
        same_epoch=same_epoch,
    )

    assert word in RULES
    if scale != "paper":
        assert word == "not comparable (scale)"
    elif mean is None:
        assert word == "not attempted"
    elif not same_epoch:
        assert word == "not comparable (epoch)"
    elif margin is None or math.isnan(published):
        assert word == "inconclusive"
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        assert word not in ("reproduced", "not reproduced")


@given(NUMBERS, SPREADS, NUMBERS, MARGINS)
def test_a_verdict_is_the_rule_that_stands_in_the_report(mean, spread, published, margin):
    word = at_paper_scale(mean, *spread, published, margin)

    inside = abs(mean - published) <= margin
    if None in spread:
        assert word == ("within tolerance" if inside else "inconclusive")
        return
    low, high = mean - spread[0], mean + spread[1]
    all_inside = all(abs(end - published) <= margin for end in (low, high))
    all_outside = low > published + margin or high < published - margin
    if all_inside:
        assert word == "reproduced"
    elif all_outside:
        assert word == "not reproduced"
    else:
        assert word == ("within tolerance" if inside else "inconclusive")


@given(NUMBERS, SPREADS, NUMBERS, MARGINS, MARGINS)
def test_a_wider_margin_never_makes_a_verdict_worse(mean, spread, published, margin, more):
    narrow, wide = (at_paper_scale(mean, *spread, published, margin + add) for add in (0.0, more))

    assert SURER.index(narrow) <= SURER.index(wide)


@given(NUMBERS, SPREADS, NUMBERS, MARGINS, NUMBERS)
def test_a_verdict_knows_no_side_and_no_origin(mean, spread, published, margin, shift):
    word = at_paper_scale(mean, *spread, published, margin)

    assert at_paper_scale(-mean, *spread[::-1], -published, margin) == word
    assert at_paper_scale(mean + shift, *spread, published + shift, margin) == word


@given(NUMBERS, st.tuples(REACHES, REACHES), NUMBERS, MARGINS, REACHES)
def test_a_wider_interval_never_makes_a_verdict_surer(mean, spread, published, margin, more):
    below, above = spread
    narrow = at_paper_scale(mean, below, above, published, margin)
    wide = at_paper_scale(mean, below + more, above + more, published, margin)

    sure = ("reproduced", "not reproduced")
    assert wide == narrow or (wide not in sure)
    one_seed = at_paper_scale(mean, None, None, published, margin)
    assert one_seed == {"reproduced": "within tolerance", "not reproduced": "inconclusive"}.get(
        narrow, narrow
    )


STEPS = st.lists(
    st.tuples(NUMBERS, SPREADS).map(
        lambda step: (
            Step(step[0], None, None)
            if None in step[1]
            else Step(step[0], step[0] - step[1][0], step[0] + step[1][1])
        )
    )
    | st.just(Step(None, None, None)),
    min_size=1,
    max_size=4,
)


@given(STEPS)
def test_an_order_is_as_sure_as_its_weakest_step(steps):
    word = order_verdict(steps)

    assert word in CLAIM_RULES["order"]
    alone = [order_verdict([step]) for step in steps]
    if "not attempted" in alone:
        assert word == "not attempted"
    else:
        assert word == SURER[min(map(SURER.index, alone))]
        assert order_verdict(steps[::-1]) == word
        for step, said in zip(steps, alone, strict=True):
            rises, falls = step.difference > 0.0, step.high is not None and step.high < 0.0
            sure = step.low is not None and step.low > 0.0
            weak = "within tolerance" if rises else "inconclusive"
            assert said == ("not reproduced" if falls else "reproduced" if sure else weak)


OTHER_WAY = {"holds here": "fails here", "fails here": "holds here"}
SURER_HERE = ["fails here", "undecided here", "holds here"]


@given(STEPS, NUMBERS)
def test_a_sign_the_other_way_round_is_the_other_verdict(steps, stated):
    word, back = sign_here(steps[0], stated), sign_here(steps[0].reversed(), stated)

    assert back == OTHER_WAY.get(word, word)
    assert sign_here(steps[0], -stated) == back


@given(STEPS, MARGINS, MARGINS)
def test_a_wider_margin_never_makes_an_equivalence_fail(steps, margin, more):
    narrow, wide = (equal_here(steps[0], margin + add) for add in (0.0, more))

    assert equal_here(steps[0].reversed(), margin) == narrow
    if "not attempted" in (narrow, wide):
        assert narrow == wide
    else:
        assert SURER_HERE.index(narrow) <= SURER_HERE.index(wide)


SEEDS = st.lists(NUMBERS, min_size=2, max_size=5)


@given(SEEDS, NUMBERS, st.floats(0.5, 0.95))
def test_an_interval_over_seeds_moves_and_grows_with_its_numbers(values, shift, confidence):
    found = intervals.seed_interval(values, confidence)
    wider = intervals.seed_interval(values, 0.5 + confidence / 2)
    moved = intervals.seed_interval([value + shift for value in values], confidence)
    doubled = intervals.seed_interval([2 * value for value in values], confidence)

    tiny = 1e-9
    assert found.low <= intervals.mean(values) + tiny
    assert intervals.mean(values) <= found.high + tiny
    assert wider.low <= found.low + tiny
    assert found.high <= wider.high + tiny
    for end in ("low", "high"):
        assert math.isclose(getattr(moved, end), getattr(found, end) + shift, abs_tol=1e-8)
        assert math.isclose(getattr(doubled, end), 2 * getattr(found, end), abs_tol=1e-8)


@given(SEEDS, SEEDS, st.floats(0.5, 0.99))
def test_the_difference_the_other_way_round_is_the_same_mirrored(above, below, confidence):
    one = intervals.difference_interval(above, below, confidence)
    other = intervals.difference_interval(below, above, confidence)

    assert math.isclose(one.low, -other.high, abs_tol=1e-9)
    assert math.isclose(one.high, -other.low, abs_tol=1e-9)
    assert one.low <= intervals.mean(above) - intervals.mean(below) + 1e-9
    assert one.confidence == confidence
