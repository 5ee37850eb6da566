"""Which figures a study's results allow, drawn from the files beside them."""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from folk.errors import InputError
from folk.report import figures
from folk.report.evidence import Evidence, Measurement, read_json
from folk.study import run_name

_POINTS = 400  # of a training curve: more than a phone has pixels
_SAMPLES = 12


@dataclass(frozen=True)
class Drawing:
    """A figure of the report; `svg` stands alone."""

    name: str
    title: str
    caption: str
    svg: str


def draw(evidence: Evidence) -> list[Drawing]:
    """Every figure whose data is there, in the order of the report.

    Raises:
        InputError: a file that is there but cannot be read.
    """
    kinds = (_scenes(evidence), _filters(evidence), _curves(evidence))
    measured = (_labels(evidence), _frozen(evidence))
    return [drawing for kind in (*kinds, *measured) for drawing in kind]


def row_colours(evidence: Evidence) -> dict[str, str]:
    """A colour for each row's label, the same in every figure."""
    rows = evidence.study.encoders.values()
    return {row.label: figures.PALETTE[i % len(figures.PALETTE)] for i, row in enumerate(rows)}


def _scenes(evidence: Evidence) -> Iterator[Drawing]:
    for name in evidence.study.data:
        folder = evidence.results / "prepare" / name
        if not (folder / "dataset.json").is_file():
            continue
        about = read_json(folder / "dataset.json")
        shards = sorted(shard for shard in about["shards"] if shard.startswith("train-"))
        if not shards:
            continue
        pictures, captions = _samples(folder / "shards" / shards[0], about["classes"])
        if not pictures:
            continue  # labelled pixel by pixel, not picture by picture
        yield Drawing(
            name=f"scenes-{name}",
            title=f"Pictures of the data set {name}",
            caption="The first labelled training pictures of each class, as the encoder gets them "
            "before any augmentation.",
            svg=figures.figure_scenes(np.stack(pictures), captions),
        )


def _samples(shard: Path, classes: list[str]) -> tuple[list[np.ndarray], list[str]]:
    """The first pictures of the shard, one class after the other, all of the first one's size."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(shard))).read_all()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{shard}: not readable as a shard: {error}; run `prepare`") from error
    labels = table["label"].to_numpy()
    turns = np.zeros(len(labels), dtype=np.int64)  # how many of its class stand before it
    for label in np.unique(labels):
        turns[labels == label] = np.arange((labels == label).sum())
    order = np.lexsort((labels, turns))
    chosen = [int(row) for row in order if labels[row] >= 0][:_SAMPLES]
    pictures: list[np.ndarray] = []
    for row in chosen:
        try:
            with Image.open(io.BytesIO(table["image"][row].as_py())) as image:
                size = pictures[0].shape[1::-1] if pictures else image.size
                pictures.append(np.asarray(image.convert("RGB").resize(size)))
        except (UnidentifiedImageError, OSError) as error:
            key = table["key"][row].as_py()
            raise InputError(f"{shard}: '{key}' is no picture: {error}; run `prepare`") from error
    return pictures, [str(classes[labels[row]]) for row in chosen]


def _filters(evidence: Evidence) -> Iterator[Drawing]:
    """One figure for each set of example pictures; a filter that rows share is drawn once."""
    groups: dict[bytes, tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]]]] = {}
    for row, encoder in evidence.study.encoders.items():
        folder = evidence.results / "pretrain" / run_name(row, encoder.seeds[0])
        path = folder / "examples.npz"
        if not path.is_file() or evidence.foreign(folder) is not None:
            continue
        pictures, keep, filtered, names = _examples(path)
        _, known = groups.setdefault(pictures.tobytes(), (pictures, {}))
        for name, kept, left in zip(names, keep, filtered, strict=True):
            if name in known and not np.array_equal(known[name][0], kept):
                name = f"{name} ({encoder.label})"  # same word, another radius or another draw
            known.setdefault(name, (kept, left))
    for place, (pictures, known) in enumerate(groups.values(), start=1):
        if known:
            keep, filtered = (np.stack(arrays) for arrays in zip(*known.values(), strict=True))
            yield Drawing(
                name="filters" if place == 1 else f"filters-{place}",
                title="What each filter leaves of a picture",
                caption="Beside each filtered picture, in white, the frequencies that were kept, "
                "with the mean colour in the centre. MFM cuts one circle for all pictures; Com "
                "keeps the largest coefficients of this very picture, here with the share kept, "
                "and RCom keeps the rest.",
                svg=figures.figure_filters(pictures, keep, filtered, list(known)),
            )


def _examples(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            pictures, keep, filtered = (file[n] for n in ("pictures", "keep", "filtered"))
            names = [str(name) for name in file["names"]]
        shape = (len(names), *pictures.shape)
        if keep.shape != shape[:-1] or filtered.shape != shape or keep.dtype != np.bool_:
            raise ValueError(f"keep is {keep.shape}, filtered {filtered.shape}, not {shape}")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: not the examples of a pre-training: {error}") from error
    few = slice(figures.MOST_FILTERED)
    return pictures[few] / 255.0, keep[:, few], filtered[:, few] / 255.0, names


def _curves(evidence: Evidence) -> Iterator[Drawing]:
    curves = []
    for run, row, seed in evidence.study.runs():
        folder = evidence.results / "pretrain" / run
        if evidence.foreign(folder) is not None:
            continue
        label = evidence.study.encoders[row].label
        for name, history in _histories(folder / "metrics.jsonl").items():
            epochs, values = zip(*_thinned(history), strict=True)
            part = name.removeprefix("loss/")
            curves.append(figures.Curve(label, part, seed, list(epochs), list(values)))
    if curves:
        yield Drawing(
            name="training",
            title="Pre-training losses",
            caption="One line for each seed. Every method has its own scale: losses of different "
            "methods say nothing about each other.",
            svg=figures.figure_curves(curves, row_colours(evidence)),
        )


def _histories(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Each part of the loss (the whole where it has no parts) as (epoch, value)."""
    histories: dict[str, list[tuple[float, float]]] = {}
    if not path.is_file():
        return histories
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                entry: dict[str, Any] = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}:{number}: not a line of JSON: {error}") from error
            for name, value in entry.items():
                if name.split("/")[0] == "loss" and math.isfinite(value):
                    histories.setdefault(name, []).append((float(entry["epoch"]), float(value)))
    parts = {name: history for name, history in histories.items() if name.startswith("loss/")}
    return parts or histories


def _thinned(history: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of as many equal stretches as a figure can show."""
    stretches = np.array_split(np.asarray(history), min(len(history), _POINTS))
    return [(float(s[-1, 0]), float(s[:, 1].mean())) for s in stretches]


def _measurements(evidence: Evidence, stage: str) -> Iterator[tuple[str, Measurement]]:
    study = evidence.study
    for name, evaluation in study.evaluations.items():
        if evaluation.stage == stage:
            for _, row, seed in study.runs():
                found = evidence.measurement(row, seed, name)
                if found.status == "ok":
                    yield study.encoders[row].label, found


def _labels(evidence: Evidence) -> Iterator[Drawing]:
    points = [
        figures.Point(row, int(m.metrics["num_train"]), evidence.value(m, "top1_last"))
        for row, m in _measurements(evidence, "finetune")
        if "num_train" in m.metrics
    ]
    if len({point.labels for point in points}) > 1:
        yield Drawing(
            name="labels",
            title="Accuracy against labels",
            caption="Fine-tuning with few and with all labels. Every run is a dot, the lines join "
            "the means; settings with the same number of labels stand above each other.",
            svg=figures.figure_labels(points, row_colours(evidence)),
        )


def _frozen(evidence: Evidence) -> Iterator[Drawing]:
    values: dict[str, dict[str, list[float]]] = {}
    for row, m in _measurements(evidence, "probe"):
        neighbours = sorted(name for name in m.metrics if name.startswith("knn_top1_k"))
        # DINO reports k = 20; another k stands in for it only where 20 was not asked for.
        nearest = "knn_top1_k20" if "knn_top1_k20" in neighbours else "".join(neighbours[:1])
        for metric in (nearest, "linear_top1_last"):
            if metric in m.metrics:
                k = metric.removeprefix("knn_top1_k")
                measure = "linear probe" if metric.startswith("linear") else f"k-NN, k = {k}"
                by_row = values.setdefault(measure, {})
                by_row.setdefault(row, []).append(evidence.value(m, metric))
    if values:
        yield Drawing(
            name="frozen",
            title="Frozen features",
            caption="Nearest neighbours and a linear classifier on features that are not trained "
            "further. Bars are means over seeds, dots are seeds.",
            svg=figures.figure_frozen(values, row_colours(evidence), _chance(evidence)),
        )


def _chance(evidence: Evidence) -> float | None:
    """Accuracy of guessing, if all probes use one data set with equally frequent classes."""
    probes = [e for e in evidence.study.evaluations.values() if e.stage == "probe"]
    data = {name for probe in probes for name in probe.data}
    path = evidence.results / "prepare" / data.pop() / "dataset.json"
    if data or not path.is_file():
        return None
    return 1.0 / len(read_json(path)["classes"])
