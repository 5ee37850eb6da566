"""Figures are the same bytes for the same input, and leave words as words."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from folk.evidence.report import canvas, figures, image_figures

COLORS = {"scratch": "#7d8790", "FOLK $x <b>": "#cf5f23"}


def scenes():
    images = np.random.default_rng(0).integers(0, 255, (7, 16, 16, 3), dtype=np.uint8)
    return image_figures.figure_scenes(images, [f"class {i} <&$" for i in range(7)])


def filters():
    rng = np.random.default_rng(0)
    filtered, keep = rng.random((3, 2, 16, 16, 3)), rng.random((3, 2, 16, 16)) > 0.5
    return image_figures.figure_filters(
        rng.random((2, 16, 16, 3)), keep, filtered, ["a", "b", "Com"]
    )


def curves():
    made = [
        figures.Curve("FOLK $x <b>", part, seed, [0.0, 1.0, 2.0], [3.0, 2.0, 1.0 + seed])
        for part in ("reconstruction", "distillation")
        for seed in (0, 1)
    ]
    return figures.figure_curves(made, COLORS)


def progress():
    made = [
        figures.Curve(row, part, seed, [0.0, 1.0, 2.0], [3.0, 2.0, 1.0 + seed])
        for part in ("full, loss", "full, top-1 <%>", "few, loss")
        for row in COLORS
        for seed in (0, 1)
    ]
    return figures.figure_progress(made, COLORS)


def comparison(low=79.0, high=85.0):
    rows = [("scratch", [70.0], None, None), ("FOLK $x <b>", [81.0, 83.0], low, high)]
    made = [
        figures.Estimate(row, seeds, float(np.mean(seeds)), *ends) for row, seeds, *ends in rows
    ]
    panels = [figures.Comparison(name, made, (0.0, 100.0)) for name in ("last <%>", "best")]
    return figures.figure_comparison(panels, list(COLORS), COLORS)


def labels():
    made = [
        figures.Point(row, count, accuracy + 0.01 * seed)
        for row, accuracy in zip(COLORS, (0.4, 0.6), strict=True)
        for count in (140, 1400)
        for seed in (0, 1)
    ]
    return figures.figure_labels(made, COLORS)


def frozen():
    values = {"k-NN, k = 20": {row: [0.2, 0.3] for row in COLORS}, "linear probe": {}}
    return figures.figure_frozen(values | {"linear probe": {"scratch": [0.4]}}, COLORS, 0.1)


def completed():
    images = np.random.default_rng(0).random((2, 2, 16, 16, 3))
    return image_figures.figure_completed(images[0], images, images, ["MFM, $x", "Com <b>"])


def energy():
    largest = 1.0 - np.geomspace(0.5, 1e-4, 255)[None].repeat(3, axis=0)
    kept = [("Com 0.05", 0.05, 0.7), ("Com 0.1", 0.1, 0.8), ("RCom 0.1", 0.9, 0.2)]
    kept += [("low-pass (FOLK)", 0.02, 0.6), ("all of it", 1.0, 1.0), ("nothing", 0.0, 0.0)]
    made = [figures.Kept(name, [count] * 3, [share] * 3) for name, count, share in kept]
    return figures.figure_energy(largest, made)


def spent():
    rows = zip(COLORS, (1.0, 30.0), (0.5, None), (40.0, 60.0), (None, 2.0), strict=True)
    points = [figures.Spent(*row) for row in rows]
    return figures.figure_spent([figures.Panel("GPU-hours", "top-1 %", points)] * 2, COLORS)


FIGURES = [
    scenes, filters, completed, curves, progress, comparison, energy, labels, frozen, spent,
]  # fmt: skip


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
        (progress, "full, top-1 &lt;%&gt;"),
        (comparison, "last &lt;%&gt;"),
        (labels, "FOLK $x &lt;b&gt;"),
        (frozen, "linear probe"),
        (completed, "Com &lt;b&gt;"),
        (energy, "low-pass (FOLK)"),
        (spent, "FOLK $x &lt;b&gt;"),
    ],
)
def test_words_of_a_figure_stay_text(draw, words):
    assert words in draw()


def test_an_interval_far_wider_than_its_seeds_is_cut_and_marked():
    seeds = [figures.Estimate("FOLK", [81.0, 83.0], 82.0, 69.3, 94.7)]
    percent, free = (0.0, 100.0), (-np.inf, np.inf)

    left, right = figures._window(figures.Comparison("x", seeds, free))
    assert 69.3 < left < 81.0
    assert 83.0 < right < 94.7
    high = [figures.Estimate("FOLK", [97.0, 99.5], 98.25, 82.4, 114.1)]
    assert figures._window(figures.Comparison("x", high, percent))[1] == 100.0
    assert comparison(low=20.0) != comparison()
    same = [figures.Estimate("FOLK", [82.0, 82.0], 82.0, 82.0, 82.0)]
    assert np.diff(figures._window(figures.Comparison("x", same, percent))) > 0.0


def test_two_figures_on_one_page_share_no_id():
    one, two = (canvas.inline(labels(), name, "title") for name in ("one", "two"))
    ids = [
        {e.attrib["id"] for e in ET.fromstring(svg).iter() if "id" in e.attrib}
        for svg in (one, two)
    ]

    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_an_inline_figure_takes_ink_and_paper_from_its_page():
    svg = canvas.inline(labels(), "one", 'a "title"')

    assert canvas.INK not in svg
    assert canvas.PAPER not in svg
    assert "var(--ink)" in svg
    assert 'aria-label="a &#34;title&#34;"' in svg


def test_references_inside_an_inline_figure_still_find_their_target():
    svg = canvas.inline(labels(), "one", "title")
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


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


def test_thresholds_of_one_filter_share_a_name_in_the_legend_and_stand_at_their_points():
    words = texts(energy())

    assert words.count("Com") == 1
    assert [words.count(number) for number in ("0.05", "0.1")] == [1, 2]
    assert "low-pass (FOLK)" in words


def test_what_keeps_nothing_or_everything_still_stands_inside_the_axes():
    svg = energy()

    root = ET.fromstring(svg)
    width, height = (float(n) for n in root.attrib["viewBox"].split()[2:])
    places = [(float(e.attrib["x"]), float(e.attrib["y"])) for e in root.iter() if "y" in e.attrib]
    assert places
    assert all(0 <= x <= width and -1 <= y <= height for x, y in places)


def test_names_that_would_overlap_are_pushed_apart_around_their_middle():
    moved = figures._apart([0.5, 0.5, 0.9], [0.1, 0.1, 0.1])

    assert moved == pytest.approx([0.4667, 0.5667, 0.8667], abs=1e-4)
    assert np.diff(figures._apart([0.5, 0.5], [0.1, 0.3])) == pytest.approx(0.2)
    assert figures._apart([], []) == []


def test_no_two_rows_of_a_palette_share_color_and_marker():
    assert len(set(zip(canvas.PALETTE, canvas.MARKERS, strict=True))) == len(canvas.PALETTE)
    assert len(set(canvas.PALETTE)) == len(set(canvas.MARKERS)) == len(canvas.PALETTE)


@pytest.mark.parametrize("paper", ["#fdfdfb", "#14171a"])
def test_lines_are_seen_on_a_light_and_on_a_dark_page(paper):
    """3 : 1 is what WCAG 2.2 asks of graphics (1.4.11)."""

    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    for color in canvas.PALETTE:
        low, high = sorted((luminance(color), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 3.0 - 0.15, color
