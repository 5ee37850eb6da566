"""Figures of the claims about a difference."""

import textwrap
from collections.abc import Iterator, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from folk.evidence.report.canvas import INK, PALETTE, STYLE, WIDTH, svg_text
from folk.evidence.report.drawing import Drawing
from folk.evidence.results.claims import JudgedClaim

_FEWEST = 2  # claims of a figure
_LABEL_WIDTH = 34  # characters; longer words of a claim are broken
_COLORS = {
    "holds here": PALETTE[4],
    "reproduced": PALETTE[4],
    "fails here": PALETTE[3],
    "not reproduced": PALETTE[3],
}
_UNDECIDED = PALETTE[0]


def draw_claims(claims: Sequence[JudgedClaim]) -> Iterator[Drawing]:
    """Draw differences in points with their intervals: of two cells, and of means of cells.

    A difference of means of cells is an effect; effects are drawn from the largest down.
    """
    single = [c for c in claims if len(c.steps) == 1 and c.unit == "points" and c.steps[0].printed]
    pairs = [claim for claim in single if len(claim.cells) == 2]
    effects = [claim for claim in single if len(claim.cells) > 2]
    effects.sort(key=lambda claim: claim.steps[0].difference or 0.0, reverse=True)
    caption = (
        "Strokes are differences of means over seeds, bars their intervals; color is the verdict."
    )
    for name, title, shown in (
        ("claims", "Claims about a difference", pairs),
        ("effects", "Effects, from the largest gain to the largest loss", effects),
    ):
        if len(shown) >= _FEWEST:
            yield Drawing(
                name=name,
                title=title,
                caption=caption,
                seen=" ".join(_seen(claim) for claim in shown),
                svg=figure_differences(shown),
            )


def _seen(claim: JudgedClaim) -> str:
    (step,) = claim.steps
    reach = f", interval {step.printed_interval}" if step.printed_interval else ""
    return f"{claim.says}: {step.printed} points{reach}, {claim.verdict}."


def figure_differences(claims: Sequence[JudgedClaim]) -> str:
    """Draw one line for each claim, from top to bottom: a stroke, and a bar for its interval."""
    labels = [textwrap.fill(claim.says, _LABEL_WIDTH) for claim in claims]
    lines = sum(1 + label.count("\n") for label in labels)
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(WIDTH, 0.6 + 0.17 * lines + 0.12 * len(claims)), layout="constrained"
        )
        axes = figure.subplots()
        for place, claim in enumerate(claims):
            (step,), color = claim.steps, _COLORS.get(claim.verdict, _UNDECIDED)
            if step.low is not None and step.high is not None:
                ends, wide = [step.low, step.high], {"linewidth": 7, "alpha": 0.5}
                axes.plot(ends, [place, place], color=color, solid_capstyle="butt", **wide)
            axes.plot(step.difference, place, "|", color=INK, markersize=13, markeredgewidth=1.8)
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_ylim(len(claims) - 0.5, -0.5)
        axes.set_yticks(range(len(claims)), labels, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("points")
        return svg_text(figure)
