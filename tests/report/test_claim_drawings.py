"""Figures of claims: which are drawn, in which order, and what a reader without eyes gets."""

import pytest

from folk.evidence.report.claim_drawings import draw_claims
from folk.evidence.results.claims import ClaimStep, JudgedClaim


def judged(name, difference, reach=1.0, cells=2, verdict="undecided here", unit="points"):
    known = difference is not None
    printed = f"{difference:+.2f}" if known else ""
    ends = (difference - reach, difference + reach) if known and reach else (None, None)
    interval = "{:+.2f} to {:+.2f}".format(*ends) if ends[0] is not None else ""
    return JudgedClaim(
        id=name, says=f"{name} <rises> & $more", kind="sign",
        cells=[f"main/{name}-{i}/knn" for i in range(cells)], printed_values=["1"] * cells,
        seeds=[2] * cells, unit=unit, confidence=0.95,
        steps=[ClaimStep("a", "b", difference, *ends, printed, interval)], margin=None,
        published_id=None, published_value=None, published_printed=None, published_certainty=None,
        published_source=None, verdict=verdict, seeds_to_decide=None, printed_seeds_to_decide="",
        note="",
    )  # fmt: skip


def places(svg, *names):
    return [svg.index(f"{name} &lt;rises&gt; &amp; $more") for name in names]


def test_differences_of_two_cells_keep_their_order_and_effects_start_with_the_largest():
    claims = [
        judged("first", -1.0, verdict="fails here"),
        judged("second", 2.0, verdict="holds here"),
        judged("small", 0.5, cells=12),
        judged("large", 3.0, cells=12, reach=None),
    ]

    pairs, effects = draw_claims(claims)

    assert (pairs.name, effects.name) == ("claims", "effects")
    assert places(pairs.svg, "first", "second") == sorted(places(pairs.svg, "first", "second"))
    assert places(effects.svg, "large", "small") == sorted(places(effects.svg, "large", "small"))
    assert "first" not in effects.svg
    assert "small" not in pairs.svg
    assert "+2.00 points, interval +1.00 to +3.00, holds here." in pairs.seen
    assert "+3.00 points, undecided here." in effects.seen
    assert pairs.svg == next(draw_claims(claims)).svg


@pytest.mark.parametrize(
    "other", [judged("b", None), judged("b", 1.0, unit="MiB"), judged("b", 1.0, cells=9)]
)
def test_a_claim_alone_without_a_number_or_in_another_unit_is_not_drawn(other):
    assert list(draw_claims([judged("a", 1.0), other])) == []
