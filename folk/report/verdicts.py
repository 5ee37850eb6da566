"""What our number says about a published one, by a rule that is fixed before the run."""

from typing import Literal

from folk.study import Scale

Verdict = Literal[
    "reproduced",
    "within tolerance",
    "not reproduced",
    "inconclusive",
    "not attempted",
    "not comparable (scale)",
]

RULES: dict[Verdict, str] = {
    "reproduced": "the 95 % interval of our mean lies inside published ± margin",
    "within tolerance": "our mean lies inside published ± margin, its interval does not",
    "not reproduced": "the 95 % interval of our mean lies outside published ± margin",
    "inconclusive": "our mean lies outside published ± margin, but its interval reaches in, "
    "or there is one seed and so no interval",
    "not attempted": "we have no number for this cell",
    "not comparable (scale)": "this study is smaller than the paper's experiment, so neither "
    "agreement nor disagreement would mean anything",
}


def verdict(
    *,
    scale: Scale,
    mean: float | None,
    low: float | None,
    high: float | None,
    published: float,
    margin: float | None,
) -> Verdict:
    """Judge one cell; all numbers are in the unit of the published one.

    Args:
        scale: of the study. Only the papers' own is ever compared.
        mean: our number; None when a run is missing.
        low: lower end of the 95 % interval of `mean`; None with a single seed.
        high: upper end, likewise.
        published: what the paper prints.
        margin: largest difference that counts as the same result, declared beside `published`.
            Without one, nothing can be called the same or different.
    """
    if scale != "paper":
        return "not comparable (scale)"
    if mean is None:
        return "not attempted"
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
