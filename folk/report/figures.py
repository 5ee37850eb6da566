"""Figures as SVG text: the same input gives the same bytes, and words stay words.

Every figure is drawn 360 pt wide with 11 pt type, so it can be read on a phone as it is. Ink, paper
and grid are three fixed colours that `inline` turns into colours of the page, light or dark.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float, UInt8
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

INK, GRID, PAPER = "#1c2126", "#d5d9dd", "#ffffff"
# Okabe and Ito's hues, with lightness that is seen on white and on near-black.
PALETTE = ("#7d8790", "#c98a00", "#2f86c8", "#cf5f23", "#12946f", "#b9679f", "#6a6fc4")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

MOST_FILTERED = 3  # pictures of the filter figure, beside each other

_WIDTH = 5.0  # inches, 72 points each
_STYLE: Any = {
    "svg.hashsalt": "folk",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,  # a class may be called "$x"
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "image.interpolation": "none",  # pictures keep their own pixels
    "image.cmap": "gray",
}


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


def figure_scenes(pictures: UInt8[np.ndarray, "n h w 3"], captions: Sequence[str]) -> str:
    """A grid of sample pictures, six to a line, each under its class."""
    columns = 6
    lines = -(-len(pictures) // columns)
    with mpl.rc_context(_STYLE):
        figure, grid = _grid(lines, columns, height=0.98 * lines)
        for axes in grid.flat[len(pictures) :]:
            axes.set_visible(False)
        for axes, picture, caption in zip(grid.flat, pictures, captions, strict=False):
            _picture(axes, picture, caption)
        return _svg(figure)


def figure_filters(
    pictures: Float[np.ndarray, "p h w 3"],
    keep: Bool[np.ndarray, "f p h w"],
    filtered: Float[np.ndarray, "f p h w 3"],
    names: Sequence[str],
) -> str:
    """What each filter keeps of each picture, and the picture that is left.

    Args:
        pictures: colours in [0, 1].
        keep: True where a coefficient of the *centred* spectrum survives.
        filtered: colours in [0, 1], one set for each filter.
        names: of the filters, one line of the figure each.
    """
    columns = 2 * len(pictures)
    lines = 1 + len(names)
    side = _WIDTH / columns
    with mpl.rc_context(_STYLE):
        figure, grid = _grid(lines, columns, height=lines * (side + 0.2))
        for p, picture in enumerate(pictures):
            _picture(grid[0, 2 * p], picture, "")
            grid[0, 2 * p + 1].set_axis_off()
            for f in range(len(names)):
                _picture(grid[f + 1, 2 * p], filtered[f, p], "")
                _picture(grid[f + 1, 2 * p + 1], keep[f, p].astype(np.float64), "")
                grid[f + 1, 2 * p + 1].add_patch(_frame(keep.shape[-1]))
        for axes, name in zip(grid[:, 0], ["picture", *names], strict=True):
            axes.set_title(name, fontsize=10, pad=3)
        return _svg(figure)


def figure_curves(curves: Sequence[Curve], colours: Mapping[str, str]) -> str:
    """Training losses in small multiples: their scales differ from method to method.

    Args:
        curves: of all runs; curves of one row and part share their axes.
        colours: row label to colour.
    """
    panels = list(dict.fromkeys((curve.row, curve.part) for curve in curves))
    lines = -(-len(panels) // 2)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.25 + 1.8 * lines), layout="constrained")
        grid = np.atleast_1d(figure.subplots(lines, 2, squeeze=False))
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            row, part = panel
            axes.set_title(f"{row}\n{part}", fontsize=10)
            for curve in (c for c in curves if (c.row, c.part) == panel):
                axes.plot(curve.epochs, curve.values, color=colours[row], linewidth=1.4)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(4))
        figure.supxlabel("epoch", fontsize=11)
        return _svg(figure)


def figure_labels(points: Sequence[Point], colours: Mapping[str, str]) -> str:
    """Accuracy against number of labels: every run a dot, a line through the means.

    Args:
        points: of all runs and settings.
        colours: row label to colour; its order is the order of the markers.
    """
    counts = sorted({point.labels for point in points})
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        ends: list[tuple[float, str]] = []
        for place, (row, colour) in enumerate(colours.items()):
            own = [point for point in points if point.row == row]
            if not own:
                continue
            at = [count for count in counts if any(p.labels == count for p in own)]
            means = [np.mean([100 * p.accuracy for p in own if p.labels == n]) for n in at]
            marker = MARKERS[place % len(MARKERS)]
            # Side by side (the axis is logarithmic), or dots of equal accuracy would hide others.
            aside = 1.05 ** (place - (len(colours) - 1) / 2)
            axes.plot([aside * n for n in at], means, color=colour, linewidth=1.6)
            axes.plot(
                [aside * p.labels for p in own],
                [100 * p.accuracy for p in own],
                marker,
                color=colour,
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
        axes.set(xlabel="labelled training pictures", ylim=(0, 100))
        axes.set_title("top-1 %")
        _direct_labels(axes, ends, colours)
        return _svg(figure)


def figure_frozen(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    colours: Mapping[str, str],
    chance: float | None,
) -> str:
    """Accuracy on frozen features: a bar for the mean, a dot for each seed.

    Args:
        values: measure (such as "k-NN") to row label to one fraction per seed.
        colours: row label to colour.
        chance: accuracy of guessing, a fraction; None when it is not known.
    """
    rows = [row for row in colours if any(row in by_row for by_row in values.values())]
    with mpl.rc_context(_STYLE):
        height = 0.5 + len(values) * (0.35 + 0.27 * len(rows))
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        panels = figure.subplots(len(values), 1, squeeze=False, sharex=True)[:, 0]
        most = max(max(v) for by_row in values.values() for v in by_row.values())
        for axes, (measure, by_row) in zip(panels, values.items(), strict=True):
            for place, row in enumerate(rows):
                seeds = [100 * value for value in by_row.get(row, [])]
                if not seeds:
                    continue
                axes.barh(place, np.mean(seeds), height=0.62, color=colours[row], alpha=0.55)
                axes.plot(
                    seeds,
                    [place] * len(seeds),
                    "o",
                    color=colours[row],
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
        panels[-1].set_xlabel(f"top-1 % on frozen features{word}")
        return _svg(figure)


def inline(svg: str, name: str, title: str) -> str:
    """The figure as an element of an HTML page.

    Ids get a prefix so that figures do not steal each other's clip paths, size comes from the page,
    and the three neutral colours become the page's.

    Args:
        svg: what a `figure_x` returned.
        name: unique on the page.
        title: what a screen reader says.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(url\(#|href="#)([^")]+)', rf"\1{name}-\2", body)
    for colour, variable in ((INK, "--ink"), (GRID, "--rule"), (PAPER, "--paper")):
        body = body.replace(colour, f"var({variable})")
    size = re.search(r'viewBox="[^"]+"', body)
    assert size is not None, "matplotlib always writes a viewBox"
    start = f'<svg {size[0]} role="img" aria-label="{escape(title)}" '
    start += 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return start + body[body.index(">") + 1 :]


def _grid(lines: int, columns: int, *, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)  # type: ignore[union-attr,call-arg]
    return figure, figure.subplots(lines, columns, squeeze=False)


def _picture(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture, vmin=0.0, vmax=1.0)
    axes.set_axis_off()
    if title:
        axes.set_title(title, loc="center", fontsize=10, pad=3)


def _frame(side: int) -> Rectangle:
    return Rectangle((-0.5, -0.5), side, side, fill=False, edgecolor=GRID, linewidth=0.8)


def _direct_labels(
    axes: Axes, ends: Sequence[tuple[float, str]], colours: Mapping[str, str]
) -> None:
    """Name the lines at their right ends, pushed apart where they would overlap."""
    gap = 7.0  # axis units, of 100
    ends = sorted(ends)
    heights = [ends[0][0]]
    for height, _ in ends[1:]:
        heights.append(max(height, heights[-1] + gap))
    # Pushing went upwards only: let the names straddle the ends they belong to.
    shift = float(np.mean([height for height, _ in ends]) - np.mean(heights))
    for height, (_, row) in zip(heights, ends, strict=True):
        axes.annotate(
            row,
            (1.02, (height + shift) / 100),
            xycoords="axes fraction",
            color=colours[row],
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
