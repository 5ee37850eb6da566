"""Figures of the example images: filtered, their energy, and completed by the model."""

from collections.abc import Iterator, Sequence

import numpy as np

from folk.evidence.report import figures, image_figures
from folk.evidence.report.drawing import Drawing, NotDrawn
from folk.evidence.report.examples import (
    Examples,
    completed,
    examples_of,
    kept_shares,
    largest_first,
    power,
)
from folk.evidence.results.evidence import Evidence

_ENERGY = "How much each filter keeps"
_MOST_LINES = 12  # rows of completed images: a study may have a hundred


def draw_examples(evidence: Evidence) -> Iterator[Drawing | NotDrawn]:
    """Draw the figures of each set of example images; most studies have one set."""
    groups: dict[bytes, list[Examples]] = {}
    for examples in examples_of(evidence):
        groups.setdefault(examples.images.tobytes(), []).append(examples)
    for place, group in enumerate(groups.values(), start=1):
        suffix = "" if place == 1 else f"-{place}"
        yield from _filters(group, suffix)
        yield from _energy(group, suffix)
        yield from _completed(group, suffix)


def _filters(group: Sequence[Examples], suffix: str) -> Iterator[Drawing]:
    sides = _sides(group)
    if not sides:
        return
    few = slice(image_figures.MOST_FILTERED)
    yield Drawing(
        name=f"filters{suffix}",
        title="What each filter leaves of an image",
        caption="Next to each filtered image, in white, the frequencies that were kept, "
        "with the mean color in the center. MFM cuts one circle for all images; Com "
        "keeps the largest coefficients of this very image, here with the share kept, "
        "and RCom keeps the rest.",
        seen=f"Example images, and each of them through {_listed(list(sides))}.",
        svg=image_figures.figure_filters(
            group[0].images[few],
            np.stack([examples.keep[side, few] for examples, side in sides.values()]),
            np.stack([examples.filtered[side, few] for examples, side in sides.values()]),
            list(sides),
        ),
    )


def _energy(group: Sequence[Examples], suffix: str) -> Iterator[Drawing | NotDrawn]:
    if any(not examples.one_mask for examples in group):
        yield _hidden(_ENERGY, group)
    energy = power(group[0].images)
    varied = energy.sum(axis=(1, 2)) > 0.0  # an image of one color has no energy
    kept = []
    for name, (examples, side) in _sides([e for e in group if e.one_mask]).items():
        if not examples.keep[side].all():  # a blur or noise removes no frequency
            shares = kept_shares(energy[varied], examples.keep[side][varied])
            kept.append(figures.Kept(name, *(share.tolist() for share in shares)))
    if not kept or not varied.any():
        return
    means = [(k.name, 100 * np.mean(k.coefficients), 100 * np.mean(k.energy)) for k in kept]
    yield Drawing(
        name=f"energy{suffix}",
        title=_ENERGY,
        caption=f"Few coefficients hold most of an image. Of {varied.sum()} validation images: "
        "the share of the coefficients that a filter keeps, and their share of the energy, the "
        "mean color not counted. Upper curve: the largest coefficients first, lower curve: the "
        "smallest; no filter can lie outside. Bands reach from the least to the greatest image, "
        "curves are medians; markers are means, each dash is an image. Axes are even in the odds, "
        "so that 1 % and 99 % have the same room.",
        seen="Kept of the coefficients and of their energy: "
        + "; ".join(f"{name}, {count:.1f} % and {share:.1f} %" for name, count, share in means)
        + ".",
        svg=figures.figure_energy(largest_first(energy[varied]), kept),
    )


def _completed(group: Sequence[Examples], suffix: str) -> Iterator[Drawing]:
    lines: list[tuple[str, np.ndarray, np.ndarray]] = []
    few = slice(image_figures.MOST_COMPLETED)
    for examples in group:
        if examples.rebuilt is not None and examples.one_mask:
            whole = completed(examples)
            for side in _two_of(examples.names):
                name = f"{examples.label}, {examples.names[side]}"
                lines.append((name, examples.filtered[side, few], whole[side, few]))
    if not lines:
        return
    shown = lines[:_MOST_LINES]
    names, seen, whole_images = zip(*shown, strict=True)
    rest = len(lines) - len(shown)
    yield Drawing(
        name=f"completed{suffix}",
        title="What each method makes of a filtered image",
        caption="Left what the student saw, right the kept frequencies completed with those that "
        "it predicts. Where nothing was hidden, as by a blur, the right one is its prediction."
        + (f" {rest} more lines are left out." if rest else ""),
        seen=f"Example images, filtered and completed, of {_listed(list(names))}.",
        svg=image_figures.figure_completed(
            group[0].images[few], np.stack(seen), np.stack(whole_images), list(names)
        ),
    )


def _sides(group: Sequence[Examples]) -> dict[str, tuple[Examples, int]]:
    """Map names of filters to examples, once if rows share one."""
    known: dict[str, tuple[Examples, int]] = {}
    for examples in group:
        for side, name in enumerate(examples.names):
            if name in known:
                other, place = known[name]
                if not np.array_equal(other.keep[place], examples.keep[side]):
                    name = f"{name} ({examples.label})"  # same name, another radius or draw
            known.setdefault(name, (examples, side))
    return known


def _two_of(names: Sequence[str]) -> list[int]:
    """Choose the two sides of a filter; of several thresholds, the middle one's."""
    pairs = range(0, len(names), 2)
    middle = pairs[len(pairs) // 2] if names else 0
    return list(range(middle, min(middle + 2, len(names))))


def _hidden(title: str, group: Sequence[Examples]) -> NotDrawn:
    rows = _listed([examples.label for examples in group if not examples.one_mask])
    why = f"{rows}: a mask for each color, of which the examples hold the first alone"
    return NotDrawn(title, why)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
