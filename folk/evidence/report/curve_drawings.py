"""Figures of training: losses of the pre-trainings, and losses and accuracies of evaluations."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from folk.evidence.core.errors import InputError, brief_with_type
from folk.evidence.report import figures
from folk.evidence.report.drawing import Drawing, row_colors
from folk.evidence.results.evidence import Evidence
from folk.evidence.study.stage import Stage

_POINTS = 400  # of a pre-training's curve: more than a phone's width in pixels
_FEW_POINTS = 100  # of an evaluation's, of which there are many more
# Of an evaluation's history: key, heading, scale.
_KEYS = (("loss", "loss", 1.0), ("top1", "validation top-1 %", 100.0))

History = list[tuple[float, float]]  # epoch and value


def draw_curves(evidence: Evidence) -> Iterator[Drawing]:
    """Draw the training of every stage that leaves a history: pre-training, then evaluations."""
    yield from _pretraining(evidence)
    for stage in evidence.study.stages.values():
        if stage.is_evaluation:
            yield from _evaluations(evidence, stage)


def _pretraining(evidence: Evidence) -> Iterator[Drawing]:
    curves = []
    for run, row, seed in evidence.study.runs():
        folder = evidence.results / "pretrain" / run
        if evidence.foreign(folder) is not None:
            continue
        label = evidence.study.encoders[row].label
        found = read_histories(folder / "metrics.jsonl")
        parts = [name for name in found if name.startswith("loss/")] or ["loss"]
        for name in parts:
            part = name.removeprefix("loss/")
            curves += _curve(found.get(name), label, part, seed, _POINTS)
    if curves:
        yield Drawing(
            name="training",
            title="Pre-training losses",
            caption="One line for each seed. Every method has its own scale: losses of different "
            "methods are not comparable.",
            seen="Losses over the epochs, first and last: " + _ends(curves),
            svg=figures.figure_curves(curves, row_colors(evidence)),
        )


def _evaluations(evidence: Evidence, stage: Stage) -> Iterator[Drawing]:
    study, curves = evidence.study, []
    for name, entry in study.evaluations.items():
        if entry.stage != stage.name:
            continue
        for _, row, seed in study.runs():
            found = evidence.measurement(row, seed, name)
            if found.status != "ok":
                continue
            label = study.encoders[row].label
            histories = read_histories(found.folder / "metrics.jsonl")
            for key, heading, scale in _KEYS:
                part = f"{study.written_name(name)}, {heading}"
                scaled = [(epoch, scale * value) for epoch, value in histories.get(key, [])]
                curves += _curve(scaled, label, part, seed, _FEW_POINTS)
    if curves:
        yield Drawing(
            name=f"training-{stage.name}",
            title=f"Training curves of the stage {stage.name}",
            caption="One line for each run, in the color of its row.",
            seen="Mean over the runs at the end: " + _lasts(curves),
            svg=figures.figure_progress(curves, row_colors(evidence)),
        )


def _curve(
    history: History | None, label: str, part: str, seed: int, points: int
) -> list[figures.Curve]:
    if not history:
        return []
    # Average over as many equal intervals as the figure can show.
    stretches = np.array_split(np.asarray(history), min(len(history), points))
    epochs = [float(stretch[-1, 0]) for stretch in stretches]
    values = [float(stretch[:, 1].mean()) for stretch in stretches]
    return [figures.Curve(label, part, seed, epochs, values)]


def _ends(curves: Sequence[figures.Curve]) -> str:
    panels = {(c.row, c.part): c for c in reversed(curves)}  # the first seed of each
    ends = (
        f"{row} {part}, {c.values[0]:.3g} and {c.values[-1]:.3g}"
        for (row, part), c in panels.items()
    )
    return "; ".join(reversed(list(ends))) + "."


def _lasts(curves: Sequence[figures.Curve]) -> str:
    groups: dict[tuple[str, str], list[float]] = {}
    for curve in curves:
        groups.setdefault((curve.row, curve.part), []).append(curve.values[-1])
    lasts = (f"{row}, {part}: {np.mean(of):.3g}" for (row, part), of in groups.items())
    return "; ".join(lasts) + "."


def read_histories(path: Path) -> dict[str, History]:
    """Read the loss, each part of it, and the accuracy of a metrics.jsonl; none if it is missing.

    Raises:
        InputError: an invalid line.
    """
    histories: dict[str, History] = {}
    if not path.is_file():
        return histories
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                entry: dict[str, Any] = json.loads(line)
                for name, value in entry.items():
                    if name.split("/")[0] in ("loss", "top1") and math.isfinite(value):
                        point = (float(entry["epoch"]), float(value))
                        histories.setdefault(name, []).append(point)
            except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError,
                    RecursionError) as error:  # fmt: skip
                raise InputError(
                    f"{path}:{number}: invalid line of a history ({brief_with_type(error)}); "
                    "run that job again"
                ) from error
    return histories
