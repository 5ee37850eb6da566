"""What all figures share: paper, ink, palette, and the way onto a page.

Every figure is drawn 360 pt wide with 11 pt type, so it can be read on a phone as it is. Ink, paper
and grid are three fixed colors that `inline` turns into colors of the page, light or dark.
"""

import io
import re
from typing import Any

from markupsafe import escape
from matplotlib.figure import Figure

INK, GRID, PAPER = "#1c2126", "#d5d9dd", "#ffffff"
# Okabe and Ito's hues, with lightness that is seen on white and on near-black.
PALETTE = ("#7d8790", "#c98a00", "#2f86c8", "#cf5f23", "#12946f", "#b9679f", "#6a6fc4")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

WIDTH = 5.0  # inches, 72 points each
STYLE: Any = {
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
    "image.interpolation": "none",  # images keep their own pixels
    "image.cmap": "gray",
}


def inline(svg: str, name: str, title: str) -> str:
    """The figure as an element of an HTML page.

    Ids get a prefix so that figures do not steal each other's clip paths, size comes from the page,
    and the three neutral colors become the page's.

    Args:
        svg: what a `figure_x` returned.
        name: unique on the page.
        title: what a screen reader says.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(url\(#|href="#)([^")]+)', rf"\1{name}-\2", body)
    for color, variable in ((INK, "--ink"), (GRID, "--rule"), (PAPER, "--paper")):
        body = body.replace(color, f"var({variable})")
    size = re.search(r'viewBox="[^"]+"', body)
    assert size is not None, "matplotlib always writes a viewBox"
    start = f'<svg {size[0]} role="img" aria-label="{escape(title)}" '
    start += 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return start + body[body.index(">") + 1 :]


def svg_text(figure: Figure) -> str:
    """The figure as an SVG file; the same figure gives the same bytes."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
