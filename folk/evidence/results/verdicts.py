"""Verdicts on published numbers and claims, by rules fixed before the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal[
    "reproduced",
    "within tolerance",
    "not reproduced",
    "inconclusive",
    "not attempted",
    "not comparable (epoch)",
    "not comparable (scale)",
    "holds here",
    "fails here",
    "undecided here",
]

_NOT_ATTEMPTED = "we have no number for this cell"
_SCALE = (
    "this study is smaller than the paper's experiment, so neither agreement nor disagreement "
    "would mean anything"
)
_EPOCH = "one of the two numbers is of the best epoch, the other of the last"
_ONE_SEED = "or there is one seed and so no interval"

RULES: dict[Verdict, str] = {
    "reproduced": "the 95 % interval of our mean lies inside published ± margin",
    "within tolerance": "our mean lies inside published ± margin, its interval does not",
    "not reproduced": "the 95 % interval of our mean lies outside published ± margin",
    "inconclusive": "our mean lies outside published ± margin, but its interval reaches in, "
    + _ONE_SEED,
    "not attempted": _NOT_ATTEMPTED,
    "not comparable (epoch)": _EPOCH,
    "not comparable (scale)": _SCALE,
}

_OF_CLAIMS: dict[Verdict, str] = {
    "not attempted": "we lack a number for one of the cells",
    "not comparable (epoch)": _EPOCH,
}
_ORDER: dict[Verdict, str] = {
    "reproduced": "the 95 % interval of every step (Welch, over seeds) lies above zero",
    "within tolerance": "the means are in order, but the interval of a step reaches zero, "
    + _ONE_SEED,
    "not reproduced": "the 95 % interval of some step lies below zero",
    "inconclusive": "the means are not in order, but no step's interval lies below zero",
    "not attempted": _OF_CLAIMS["not attempted"],
}
# By kind of claim, in a study of the papers' size.
CLAIM_RULES: dict[str, dict[Verdict, str]] = {
    "order": _ORDER,
    "sign": _ORDER,  # an order of two cells
    "difference": {
        "reproduced": "the 95 % interval of our difference (Welch, over seeds) lies inside "
        "published ± margin",
        "within tolerance": "our difference lies inside published ± margin, its interval does not",
        "not reproduced": "the 95 % interval of our difference lies outside published ± margin",
        "inconclusive": "our difference lies outside published ± margin, but its interval reaches "
        "in, " + _ONE_SEED,
        **_OF_CLAIMS,
    },
    "equal": {
        "reproduced": "two one-sided tests at 5 % each: the 90 % interval of our difference "
        "(Welch, over seeds) lies inside ± margin",
        "within tolerance": "our difference lies inside ± margin, its 90 % interval does not",
        "not reproduced": "the 90 % interval of our difference lies outside ± margin",
        "inconclusive": "our difference lies outside ± margin, but its 90 % interval reaches in, "
        + _ONE_SEED,
        **_OF_CLAIMS,
    },
}
ONLY_HERE = (
    "A claim is tested on this study's own data, encoders and schedules; its verdict says nothing "
    "about ImageNet"
)
TO_DECIDE = "a chance of 80 %, if the observed differences and deviations are the true ones"
_SIGN_HERE: dict[Verdict, str] = {
    "holds here": "the 95 % interval of our difference (Welch, over seeds) lies on the stated side "
    "of zero",
    "fails here": "the 95 % interval of our difference lies on the other side of zero",
    "undecided here": "the 95 % interval of our difference reaches zero, " + _ONE_SEED,
    "not attempted": _OF_CLAIMS["not attempted"],
}
# By kind of claim, in a smaller study.
CLAIM_RULES_HERE: dict[str, dict[Verdict, str]] = {
    "order": {
        "holds here": "the 95 % interval of every step (Welch, over seeds) lies above zero",
        "fails here": "the 95 % interval of some step lies below zero",
        "undecided here": "no step's 95 % interval lies below zero, but one reaches it, "
        + _ONE_SEED,
        "not attempted": _OF_CLAIMS["not attempted"],
    },
    "sign": _SIGN_HERE,
    "difference": _SIGN_HERE,  # of a published difference, only the sign is tested
    "equal": {
        "holds here": "two one-sided tests at 5 % each: the 90 % interval of our difference "
        "(Welch, over seeds) lies inside ± margin",
        "fails here": "the 90 % interval of our difference lies outside ± margin",
        "undecided here": "the 90 % interval of our difference reaches over an end of ± margin, "
        + _ONE_SEED,
        "not attempted": _OF_CLAIMS["not attempted"],
    },
}


def rule_of(word: str, kind: str | None = None) -> str:
    """Return the rule of a verdict on a published number, or on a claim of this kind."""
    rules = RULES
    if kind is not None:
        rules = CLAIM_RULES.get(kind, {}) | CLAIM_RULES_HERE.get(kind, {})
    return next((rule for known, rule in rules.items() if known == word), "not of this version")


@dataclass(frozen=True)
class Step:
    """Difference of one cell over another; None without numbers, or without two seeds."""

    difference: float | None
    low: float | None
    high: float | None

    def reversed(self) -> "Step":
        """Return the step back."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Step(None if self.difference is None else -self.difference, low, high)


def verdict(
    *,
    scale: str,
    mean: float | None,
    low: float | None,
    high: float | None,
    published: float,
    margin: float | None,
    same_epoch: bool = True,
) -> Verdict:
    """Judge one number; all numbers are in the unit of the published one.

    Args:
        scale: of the study. Nothing but "paper" is ever compared.
        mean: our number; None when a run is missing.
        low: lower end of the interval of `mean`; None with a single seed.
        high: upper end, likewise.
        published: what the paper prints.
        margin: largest difference that counts as the same result, declared with `published`.
            Without one, nothing can be called the same or different.
        same_epoch: False when one number is known to be of the best epoch and the other of the
            last. The best of many looks at the validation images is never lower, so the two
            are not the same measure.
    """
    if scale != "paper":
        return "not comparable (scale)"
    if mean is None:
        return "not attempted"
    if not same_epoch:
        return "not comparable (epoch)"
    if margin is None:
        return "inconclusive"
    floor, ceiling = published - margin, published + margin
    inside = floor <= mean <= ceiling
    if low is None or high is None:
        return "within tolerance" if inside else "inconclusive"
    if floor <= low and high <= ceiling:
        return "reproduced"
    if high < floor or low > ceiling:
        return "not reproduced"
    return "within tolerance" if inside else "inconclusive"


def order_verdict(steps: Sequence[Step]) -> Verdict:
    """Judge whether cells rise, by the 95 % intervals of the steps, in a study of the papers' size.

    "Reproduced" asks it of every step, so it needs no correction for their number.
    """
    rises = [step.difference for step in steps if step.difference is not None]
    if len(rises) < len(steps):
        return "not attempted"
    if any(step.high is not None and step.high < 0.0 for step in steps):
        return "not reproduced"
    if all(step.low is not None and step.low > 0.0 for step in steps):
        return "reproduced"
    return "within tolerance" if all(rise > 0.0 for rise in rises) else "inconclusive"


_HERE: dict[Verdict, Verdict] = {
    "not attempted": "not attempted",
    "not reproduced": "fails here",
    "reproduced": "holds here",
}


def order_here(steps: Sequence[Step]) -> Verdict:
    """Judge at the study's own scale whether cells rise, by the 95 % intervals of the steps."""
    return _HERE.get(order_verdict(steps), "undecided here")


def sign_here(step: Step, stated: float | None) -> Verdict:
    """Judge at the study's own scale whether a difference has the stated sign.

    Args:
        step: our difference with its 95 % interval.
        stated: a number with the stated sign; None, or 0, states none.
    """
    if step.difference is not None and not stated:
        return "undecided here"
    return order_here([step if (stated or 0.0) > 0.0 else step.reversed()])


def equal_here(step: Step, margin: float) -> Verdict:
    """Judge at the study's own scale whether two cells differ by less than a margin.

    Args:
        step: our difference with its 90 % interval, which makes two one-sided tests at 5 %.
        margin: of the equivalence, in the unit of the difference.
    """
    if step.difference is None:
        return "not attempted"
    if step.low is None or step.high is None:
        return "undecided here"
    if -margin <= step.low and step.high <= margin:
        return "holds here"
    outside = step.high < -margin or step.low > margin
    return "fails here" if outside else "undecided here"
