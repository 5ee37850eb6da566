"""Figures as deterministic SVG with text kept as text."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from folk.evidence.report.canvas import INK, MARKERS, PALETTE, PAPER, STYLE, WIDTH, svg_text

_ODDS_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999, 0.9999)
_NAME_WIDTH = 18  # characters; longer names are broken


@dataclass(frozen=True)
class Curve:
    """One quantity of one run over training."""

    row: str  # label of the encoder's row
    part: str  # such as "distillation"
    seed: int
    epochs: list[float]
    values: list[float]


@dataclass(frozen=True)
class Point:
    """One accuracy (a fraction) of one encoder with so many labels."""

    row: str  # label of the encoder's row
    labels: int
    accuracy: float


@dataclass(frozen=True)
class Kept:
    """Shares kept by one filter, in [0, 1], for each image."""

    name: str  # such as "Com 0.05"
    coefficients: list[float]
    energy: list[float]


@dataclass(frozen=True)
class Spent:
    """Cost and accuracy of one row, with deviations over seeds."""

    row: str  # label of the encoder's row
    cost: float
    cost_deviation: float | None
    value: float
    value_deviation: float | None


@dataclass(frozen=True)
class Estimate:
    """One row of a comparison: a number for each seed, their mean and its 95 % interval."""

    row: str  # label of the encoder's row
    seeds: list[float]
    mean: float
    low: float | None  # None for a single seed
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """One column of the main comparison."""

    column: str  # label, with its unit
    estimates: list[Estimate]
    limits: tuple[float, float]  # that no value can leave; infinite if there are none


@dataclass(frozen=True)
class Panel:
    """Rows by one kind of cost."""

    cost: str  # kind of cost, with its unit
    value: str  # kind of result, with its unit
    points: list[Spent]


def figure_curves(curves: Sequence[Curve], colors: Mapping[str, str]) -> str:
    """Draw training losses in small multiples, since scales differ between methods.

    Args:
        curves: of all runs; curves of one row and part share their axes.
        colors: row label to color.
    """
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        what = curve.part if curve.part.endswith("loss") else f"{curve.part} loss"
        panels.setdefault(f"{curve.row}\n{what}", []).append(curve)
    with mpl.rc_context(STYLE):
        height = 0.25 + 1.8 * -(-len(panels) // 2)
        return svg_text(_small_multiples(panels, colors, height, linewidth=1.4))


def figure_progress(curves: Sequence[Curve], colors: Mapping[str, str]) -> str:
    """Draw the histories of one stage in small multiples: a line for each run, colored by row.

    Args:
        curves: of all runs; those of one part share their axes.
        colors: row label to color.
    """
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.part, []).append(curve)
    rows = [row for row in colors if any(curve.row == row for curve in curves)]
    with mpl.rc_context(STYLE):
        height = 0.3 + 1.7 * -(-len(panels) // 2) + 0.22 * -(-len(rows) // 2)
        figure = _small_multiples(panels, colors, height, linewidth=1.2)
        handles = [Line2D([], [], color=colors[row], linewidth=2, label=row) for row in rows]
        figure.legend(
            handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=10
        )
        return svg_text(figure)


def _small_multiples(
    panels: Mapping[str, Sequence[Curve]],
    colors: Mapping[str, str],
    height: float,
    linewidth: float,
) -> Figure:
    """Draw curves over epochs, by the title of their panel, two panels in a line."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(-(-len(panels) // 2), 2, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
        axes.set_title(title, fontsize=10)
        for curve in curves:
            axes.plot(curve.epochs, curve.values, color=colors[curve.row], linewidth=linewidth)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
    figure.supxlabel("epoch", fontsize=11)
    return figure


def figure_comparison(
    panels: Sequence[Comparison], rows: Sequence[str], colors: Mapping[str, str]
) -> str:
    """Draw rows by columns: a dot for each seed, a stroke for the mean, a bar for its interval.

    An interval that is much wider than the seeds is cut, with an arrowhead at the cut.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.7 + 0.4 * len(rows)), layout="constrained")
        grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, panel in zip(grid, panels, strict=True):
            left, right = _window(panel)
            for estimate in panel.estimates:
                _draw_estimate(axes, estimate, rows.index(estimate.row), (left, right), colors)
            axes.set_xlim(left, right)
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_yticks(range(len(rows)), [textwrap.fill(row, _NAME_WIDTH) for row in rows])
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.grid(visible=False, axis="y")
            axes.set_title(textwrap.fill(panel.column, 24), fontsize=10)
        return svg_text(figure)


def _draw_estimate(
    axes: Axes,
    estimate: Estimate,
    place: int,
    window: tuple[float, float],
    colors: Mapping[str, str],
) -> None:
    color = colors[estimate.row]
    if estimate.low is not None and estimate.high is not None:
        ends = np.clip((estimate.low, estimate.high), *window)
        axes.plot(ends, [place, place], color=color, linewidth=7, alpha=0.4, solid_capstyle="butt")
        for end, edge, marker in zip((estimate.low, estimate.high), window, "<>", strict=True):
            if not window[0] <= end <= window[1]:
                axes.plot(edge, place, marker, color=color, markersize=6, clip_on=False)
    axes.plot(estimate.mean, place, "|", color=INK, markersize=15, markeredgewidth=1.8)
    axes.plot(
        estimate.seeds,
        [place] * len(estimate.seeds),
        "o",
        color=color,
        markersize=5.5,
        markeredgecolor=INK,
        markeredgewidth=0.7,
        clip_on=False,
    )


def _window(panel: Comparison) -> tuple[float, float]:
    """Compute the axis limits: around the seeds, and around intervals as far as they are near."""
    seeds = [value for estimate in panel.estimates for value in estimate.seeds]
    ends = [end for e in panel.estimates for end in (e.low, e.high) if end is not None]
    low, high = min(seeds), max(seeds)
    span = (high - low) or abs(high) or 1.0
    left = max(min(low, *ends, high), low - 0.6 * span)
    right = min(max(low, *ends, high), high + 0.6 * span)
    pad = 0.06 * span
    return max(left - pad, panel.limits[0]), min(right + pad, panel.limits[1])


def figure_labels(points: Sequence[Point], colors: Mapping[str, str]) -> str:
    """Draw accuracy against number of labels: every run a dot, a line through the means.

    Args:
        colors: row label to color; its order is the order of the markers.
    """
    counts = sorted({point.labels for point in points})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        ends: list[tuple[float, str]] = []
        for place, (row, color) in enumerate(colors.items()):
            own = [point for point in points if point.row == row]
            if not own:
                continue
            at = [count for count in counts if any(p.labels == count for p in own)]
            means = [np.mean([100 * p.accuracy for p in own if p.labels == n]) for n in at]
            marker = MARKERS[place % len(MARKERS)]
            # Shifted (the axis is logarithmic), so that dots of equal accuracy stay visible.
            shift = 1.05 ** (place - (len(colors) - 1) / 2)
            axes.plot([shift * n for n in at], means, color=color, linewidth=1.6)
            axes.plot(
                [shift * p.labels for p in own],
                [100 * p.accuracy for p in own],
                marker,
                color=color,
                markersize=5,
                markeredgecolor=PAPER,
                markeredgewidth=0.6,
            )
            ends.append((float(means[-1]), row))
        axes.set_xscale("log")
        axes.set_xticks(counts)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("labeled training images")
        axes.set_title("top-1 %")
        _direct_labels(axes, ends, colors)
        return svg_text(figure)


def figure_energy(largest: Float[np.ndarray, "n c"], filters: Sequence[Kept]) -> str:
    """Draw the share of a spectrum's energy that filters keep against that of its coefficients.

    All filters are between the two curves: the upper takes the largest coefficients, the lower the
    smallest.

    Args:
        largest: share of the energy in the 1, 2 .. c largest coefficients of each image.
        filters: those of one family, such as "Com 0.05" and "Com 0.1", share color and marker.
    """
    steps = largest.shape[1]
    little = 1e-6  # 0 and 1 are infinite on a logit axis
    shares = _even_in_odds(steps)
    count = np.round(shares * steps).astype(int)
    least, middle, most = (
        find(largest[:, count - 1], axis=0).clip(little, 1 - little)
        for find in (np.min, np.median, np.max)
    )
    across = _odds_ends([share for kept in filters for share in kept.coefficients], room=2.0)
    up = _odds_ends([share for kept in filters for share in kept.energy], room=1.0)
    families = list(dict.fromkeys(_family(kept.name)[0] for kept in filters))
    looks = {f: (PALETTE[1:][i % 6], MARKERS[i % len(MARKERS)]) for i, f in enumerate(families)}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2 + 0.22 * -(-len(families) // 2)), layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="logit", yscale="logit")
        axes.fill_between(shares, least, most, color=PALETTE[0], alpha=0.25, linewidth=0)
        axes.plot(shares, middle, color=PALETTE[0], linewidth=1.4)
        # The smallest coefficients are the complement of the largest.
        axes.fill_between(
            1 - shares, 1 - most, 1 - least, color=PALETTE[0], alpha=0.25, linewidth=0
        )
        axes.plot(1 - shares, 1 - middle, color=PALETTE[0], linewidth=1.4)
        for kept in filters:
            family, number = _family(kept.name)
            color, marker = looks[family]
            x, y = np.clip(kept.coefficients, *across), np.clip(kept.energy, *up)
            axes.plot(x, y, "_", color=color, markersize=6, alpha=0.8)
            at = float(np.mean(x)), float(np.mean(y))
            axes.plot(
                *at, marker, color=color, markersize=7, markeredgecolor=PAPER, markeredgewidth=0.6
            )
            # The space above the upper curve and below the lower one is free.
            above = at[1] > at[0]
            axes.annotate(
                number,
                at,
                (-7, 4) if above else (7, -4),
                textcoords="offset points",
                ha="right" if above else "left",
                va="bottom" if above else "top",
                color=color,
                fontsize=10,
            )
        axes.set(xlim=across, ylim=up)
        for axis, ends in ((axes.xaxis, across), (axes.yaxis, up)):
            shown = [tick for tick in _ODDS_TICKS if ends[0] <= tick <= ends[1]]
            axis.set_ticks(shown, [f"{100 * tick:.5g}" for tick in shown])
            axis.set_minor_locator(NullLocator())
        axes.set_xlabel("coefficients kept, %")
        axes.set_title("energy kept, %")
        handles = [
            Line2D([], [], color=color, marker=marker, linestyle="", label=family)
            for family, (color, marker) in looks.items()
        ]
        figure.legend(
            handles=handles, loc="outside lower left", ncols=2, frameon=False, fontsize=10
        )
        return svg_text(figure)


def figure_spent(panels: Sequence[Panel], colors: Mapping[str, str]) -> str:
    """Draw results against costs, a panel for each kind of cost.

    Args:
        panels: with a point for each row; bars are deviations over seeds.
        colors: row label to color; its order is the order of the markers.
    """
    places = {row: place for place, row in enumerate(colors)}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.7 * len(panels)), layout="constrained")
        for axes, panel in zip(
            figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True
        ):
            for point in panel.points:
                axes.errorbar(
                    point.cost,
                    point.value,
                    xerr=point.cost_deviation,
                    yerr=point.value_deviation,
                    fmt=MARKERS[places[point.row] % len(MARKERS)],
                    color=colors[point.row],
                    markersize=7,
                    markeredgecolor=PAPER,
                    markeredgewidth=0.6,
                    elinewidth=1.2,
                )
            axes.margins(x=0.08, y=0.18)
            axes.set_xlim(0, axes.get_xlim()[1])
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.set_xlabel(panel.cost)
            axes.set_title(panel.value)
            _names_beside(axes, panel.points, colors)
        return svg_text(figure)


def figure_frozen(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    colors: Mapping[str, str],
    chance: float | None,
) -> str:
    """Draw accuracy on frozen features: a bar for the mean, a dot for each seed.

    Args:
        values: measure (such as "k-NN") to row label to one fraction per seed.
        chance: chance accuracy, a fraction; None if unknown.
    """
    rows = [row for row in colors if any(row in by_row for by_row in values.values())]
    with mpl.rc_context(STYLE):
        height = 0.5 + len(values) * (0.35 + 0.27 * len(rows))
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        panels = figure.subplots(len(values), 1, squeeze=False, sharex=True)[:, 0]
        most = max(max(v) for by_row in values.values() for v in by_row.values())
        for axes, (measure, by_row) in zip(panels, values.items(), strict=True):
            for place, row in enumerate(rows):
                seeds = [100 * value for value in by_row.get(row, [])]
                if not seeds:
                    continue
                axes.barh(place, np.mean(seeds), height=0.62, color=colors[row], alpha=0.55)
                axes.plot(
                    seeds,
                    [place] * len(seeds),
                    "o",
                    color=colors[row],
                    markersize=5,
                    markeredgecolor=INK,
                    markeredgewidth=0.7,
                )
            if chance is not None:
                axes.axvline(100 * chance, color=INK, linewidth=1, linestyle=(0, (3, 2)))
            axes.set_yticks(range(len(rows)), rows)
            axes.invert_yaxis()
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.grid(visible=False, axis="y")
            axes.set_title(measure)
            axes.set_xlim(0, min(100.0, 115 * most))
        word = ", dashed: guessing" if chance is not None else ""
        panels[-1].set_xlabel(f"top-1 %{word}")
        return svg_text(figure)


def _family(name: str) -> tuple[str, str]:
    """Split a filter's name into words and number, which may be empty."""
    found = re.fullmatch(r"(.*?) ([0-9.]+(?:e-?[0-9]+)?)( \(.*\))?", name)
    return (found[1] + (found[3] or ""), found[2]) if found else (name, "")


def _even_in_odds(count: int) -> Float[np.ndarray, "p"]:
    """Space the shares 1 / count .. 1 - 1 / count evenly on a logit axis."""
    ends = np.log(count - 1.0)
    wanted = 1.0 / (1.0 + np.exp(-np.linspace(-ends, ends, 200)))
    return np.unique(np.clip(np.round(wanted * count), 1, count - 1)) / count


def _odds_ends(shares: Sequence[float], room: float) -> tuple[float, float]:
    """Compute the symmetric limits of a logit axis around its shares; `room` in logits."""
    inner = [share for share in shares if 0.0 < share < 1.0]
    reach = max([*(abs(float(np.log(share / (1 - share)))) for share in inner), 3.0]) + room
    return float(1.0 / (1.0 + np.exp(reach))), float(1.0 / (1.0 + np.exp(-reach)))


def _names_beside(axes: Axes, points: Sequence[Spent], colors: Mapping[str, str]) -> None:
    """Label the points: to the right of those in the left half, to the left of the others."""
    (_, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for is_left in (True, False):
        own = sorted(
            (point for point in points if (point.cost < right / 2) == is_left),
            key=lambda point: point.value,
        )
        heights = _apart(
            [(point.value - bottom) / (top - bottom) for point in own], [0.1] * len(own)
        )
        for point, height in zip(own, heights, strict=True):
            axes.annotate(
                point.row,
                (point.cost, bottom + height * (top - bottom)),
                (7 if is_left else -7, 3),  # clear of its bars
                textcoords="offset points",
                ha="left" if is_left else "right",
                va="bottom",
                color=colors[point.row],
                fontweight="bold",
            )


def _apart(heights: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Spread labels at ascending `heights` so that they do not overlap, keeping their center."""
    pushed: list[float] = []
    for place, height in enumerate(heights):
        gap = (sizes[place - 1] + sizes[place]) / 2
        pushed.append(max(height, pushed[-1] + gap) if pushed else height)
    # Labels were only pushed upwards: center them around their points again.
    shift = float(np.mean(heights) - np.mean(pushed)) if pushed else 0.0
    return [height + shift for height in pushed]


def _direct_labels(
    axes: Axes, ends: Sequence[tuple[float, str]], colors: Mapping[str, str]
) -> None:
    """Label the lines at their right ends, without overlap."""
    bottom, top = axes.get_ylim()
    ends = sorted(ends)
    names = [textwrap.fill(row, _NAME_WIDTH) for _, row in ends]
    sizes = [0.07 * (name.count("\n") + 1) for name in names]
    heights = _apart([(height - bottom) / (top - bottom) for height, _ in ends], sizes)
    for height, name, (_, row) in zip(heights, names, ends, strict=True):
        axes.annotate(
            name,
            (1.02, height),
            xycoords="axes fraction",
            color=colors[row],
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )
