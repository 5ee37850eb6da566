"""Style of all figures and their embedding in a page.

Every figure is 360 pt wide with 11 pt type, so that it is readable on a phone. Ink, paper and grid
are three fixed colors that `inline` replaces by colors of the page, light or dark.
"""

import io
import re
from typing import Any

from markupsafe import escape
from matplotlib.figure import Figure

INK, GRID, PAPER = "#1c2126", "#d5d9dd", "#ffffff"
# Okabe and Ito's hues, with lightness that is visible on white and on near-black.
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
    """Convert a figure to an element of an HTML page.

    Ids get a prefix so that figures do not share clip paths, the size comes from the page, and the
    three neutral colors become the page's.

    Args:
        name: unique on the page.
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
    """Render a figure as an SVG file, byte-identical for equal figures."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
