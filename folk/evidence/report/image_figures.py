"""Figures of images: the data, filtered, and completed by the model."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from folk.evidence.report.canvas import GRID, STYLE, WIDTH, svg_text

MOST_FILTERED = 3  # images of the filter figure, side by side
MOST_COMPLETED = 3


def figure_scenes(images: UInt8[np.ndarray, "n h w 3"], captions: Sequence[str]) -> str:
    """Draw a grid of sample images, six per line, each with its class."""
    columns = 6
    lines = -(-len(images) // columns)
    with mpl.rc_context(STYLE):
        figure, grid = _grid(lines, columns, height=0.98 * lines)
        for axes in grid.flat[len(images) :]:
            axes.set_visible(False)
        for axes, image, caption in zip(grid.flat, images, captions, strict=False):
            _image(axes, image, caption)
        return svg_text(figure)


def figure_filters(
    images: Float[np.ndarray, "p h w 3"],
    keep: Bool[np.ndarray, "f p h w"],
    filtered: Float[np.ndarray, "f p h w 3"],
    names: Sequence[str],
) -> str:
    """Draw each filter's mask of each image, centered, and the filtered image."""
    with mpl.rc_context(STYLE):
        figure, grid = _pairs(images, filtered, keep.astype(np.float64), names)
        for axes in grid[1:, 1::2].flat:
            axes.add_patch(_frame(keep.shape[-1]))
        return svg_text(figure)


def figure_completed(
    images: Float[np.ndarray, "p h w 3"],
    seen: Float[np.ndarray, "f p h w 3"],
    completed: Float[np.ndarray, "f p h w 3"],
    names: Sequence[str],
) -> str:
    """Draw each image as seen by the student next to its completion."""
    with mpl.rc_context(STYLE):
        figure, _ = _pairs(images, seen, completed, names)
        return svg_text(figure)


def _pairs(
    images: np.ndarray, left: np.ndarray, right: np.ndarray, names: Sequence[str]
) -> tuple[Figure, Any]:
    """Draw images in the first line, two columns each; below, a labeled line of pairs per name."""
    columns, lines = 2 * len(images), 1 + len(names)
    figure, grid = _grid(lines, columns, height=lines * (WIDTH / columns + 0.2))
    for p, image in enumerate(images):
        _image(grid[0, 2 * p], image, "")
        grid[0, 2 * p + 1].set_axis_off()
        for f in range(len(names)):
            _image(grid[f + 1, 2 * p], left[f, p], "")
            _image(grid[f + 1, 2 * p + 1], right[f, p], "")
    for axes, name in zip(grid[:, 0], ["image", *names], strict=True):
        _line_name(axes, name)
    return figure, grid


def _grid(lines: int, columns: int, *, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)  # type: ignore[union-attr,call-arg]
    return figure, figure.subplots(lines, columns, squeeze=False)


def _image(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, vmin=0.0, vmax=1.0)
    axes.set_axis_off()
    if title:
        axes.set_title(title, loc="center", fontsize=10, pad=3)


def _line_name(axes: Axes, name: str) -> None:
    """Label a line above its first image; a long name extends over its neighbors."""
    axes.set_title(" ", fontsize=10, pad=3)  # for the height; its width would push them away
    text = axes.annotate(
        name, (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", fontsize=10
    )
    text.set_in_layout(False)


def _frame(side: int) -> Rectangle:
    return Rectangle((-0.5, -0.5), side, side, fill=False, edgecolor=GRID, linewidth=0.8)
