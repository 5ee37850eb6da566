"""Figures are the same bytes for the same input, and leave words as words."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from folk.report import figures

COLOURS = {"scratch": "#7d8790", "FOLK $x <b>": "#cf5f23"}


def scenes():
    pictures = np.random.default_rng(0).integers(0, 255, (7, 16, 16, 3), dtype=np.uint8)
    return figures.figure_scenes(pictures, [f"class {i} <&$" for i in range(7)])


def filters():
    rng = np.random.default_rng(0)
    filtered, keep = rng.random((3, 2, 16, 16, 3)), rng.random((3, 2, 16, 16)) > 0.5
    return figures.figure_filters(rng.random((2, 16, 16, 3)), keep, filtered, ["a", "b", "Com"])


def curves():
    made = [
        figures.Curve("FOLK $x <b>", part, seed, [0.0, 1.0, 2.0], [3.0, 2.0, 1.0 + seed])
        for part in ("reconstruction", "distillation")
        for seed in (0, 1)
    ]
    return figures.figure_curves(made, COLOURS)


def labels():
    made = [
        figures.Point(row, count, accuracy + 0.01 * seed)
        for row, accuracy in zip(COLOURS, (0.4, 0.6), strict=True)
        for count in (140, 1400)
        for seed in (0, 1)
    ]
    return figures.figure_labels(made, COLOURS)


def frozen():
    values = {"k-NN, k = 20": {row: [0.2, 0.3] for row in COLOURS}, "linear probe": {}}
    return figures.figure_frozen(values | {"linear probe": {"scratch": [0.4]}}, COLOURS, 0.1)


FIGURES = [scenes, filters, curves, labels, frozen]


@pytest.mark.parametrize("draw", FIGURES)
def test_a_figure_is_the_same_bytes_twice_and_carries_no_date(draw):
    svg = draw()

    assert svg == draw()
    assert "<dc:date>" not in svg


@pytest.mark.parametrize("draw", FIGURES)
def test_a_figure_is_well_formed_and_needs_no_network(draw):
    svg = draw()

    ET.fromstring(svg)
    assert 'href="http' not in svg
    assert "@import" not in svg


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (scenes, "class 3 &lt;&amp;$"),
        (filters, "Com"),
        (curves, "distillation"),
        (labels, "FOLK $x &lt;b&gt;"),
        (frozen, "linear probe"),
    ],
)
def test_words_of_a_figure_stay_text(draw, words):
    assert words in draw()


def test_two_figures_on_one_page_share_no_id():
    one, two = (figures.inline(labels(), name, "title") for name in ("one", "two"))
    ids = [
        {e.attrib["id"] for e in ET.fromstring(svg).iter() if "id" in e.attrib}
        for svg in (one, two)
    ]

    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_an_inline_figure_takes_ink_and_paper_from_its_page():
    svg = figures.inline(labels(), "one", 'a "title"')

    assert figures.INK not in svg
    assert figures.PAPER not in svg
    assert "var(--ink)" in svg
    assert 'aria-label="a &#34;title&#34;"' in svg


def test_references_inside_an_inline_figure_still_find_their_target():
    svg = figures.inline(labels(), "one", "title")
    root = ET.fromstring(svg)
    ids = {e.attrib["id"] for e in root.iter() if "id" in e.attrib}
    wanted = {
        value[1:]
        for e in root.iter()
        for key, value in e.attrib.items()
        if key.endswith("href") and value.startswith("#")
    }

    assert wanted
    assert wanted <= ids
