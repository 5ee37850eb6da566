"""Figures of a study, drawn from its result files."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from folk.evidence.core.errors import InputError, brief_with_type
from folk.evidence.report import figures, image_figures
from folk.evidence.report.cost_drawings import draw_cost
from folk.evidence.report.curve_drawings import draw_curves
from folk.evidence.report.drawing import Drawing, NotDrawn, row_colors
from folk.evidence.report.example_drawings import draw_examples
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence, Measurement, read_json
from folk.evidence.results.metrics.columns import numbers
from folk.evidence.study.study import Study

_SAMPLES = 12


def draw(evidence: Evidence, cells: Sequence[Cell]) -> tuple[list[Drawing], list[NotDrawn]]:
    """Draw every figure with data but the summary's, in the order of the report; list others."""
    found = [
        *_scenes(evidence),
        *draw_examples(evidence),
        *draw_curves(evidence),
        *_labels(evidence),
        *_frozen(evidence),
        *draw_cost(evidence, cells),
    ]
    drawn = [figure for figure in found if isinstance(figure, Drawing)]
    return drawn, [figure for figure in found if isinstance(figure, NotDrawn)]


def _scenes(evidence: Evidence) -> Iterator[Drawing]:
    for name in evidence.study.data:
        folder = evidence.results / "prepare" / name
        if not (folder / "dataset.json").is_file():
            continue
        shards, classes = _described(folder / "dataset.json")
        if not shards:
            continue
        images, captions = _samples(folder / "shards" / shards[0], classes)
        if not images:
            continue  # labeled pixel by pixel, not image by image
        yield Drawing(
            name=f"scenes-{name}",
            title=f"Images of the data set {name}",
            caption="The first labeled training images of each class, as the encoder gets them "
            "before any augmentation.",
            seen=f"Sample images of {', '.join(dict.fromkeys(captions))}.",
            svg=image_figures.figure_scenes(np.stack(images), captions),
        )


def _described(path: Path) -> tuple[list[str], list[str]]:
    """Read the names of the training shards, sorted, and of the classes from dataset.json."""
    about = read_json(path)
    shards, classes = about.get("shards"), about.get("classes")
    if not isinstance(shards, dict):
        raise InputError(f"{path}: missing shards; run `prepare` again")
    if not isinstance(classes, list) and shards:
        raise InputError(f"{path}: missing classes; run `prepare` again")
    training = sorted(shard for shard in shards if shard.startswith("train-"))
    if wrong := [shard for shard in training if Path(shard).name != shard]:
        raise InputError(f"{path}: invalid shard name '{wrong[0]}'; run `prepare` again")
    return training, [str(name) for name in classes or []]


def _samples(shard: Path, classes: list[str]) -> tuple[list[np.ndarray], list[str]]:
    """Read the first images of the shard, class by class, all of the first one's size."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(shard))).read_all()
        table.validate(full=True)  # a wrong offset is a crash, or another image's bytes
        labels = numbers(table["label"])
        if labels.max(initial=-1) >= len(classes):
            raise ValueError(f"label {labels.max()} with {len(classes)} classes")
        columns = [table["image"].cast(pa.binary()), table["key"].cast(pa.string())]
        if any(column.null_count for column in columns):
            raise ValueError("image without key or bytes")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{shard}: invalid shard: {brief_with_type(error)}; run `prepare`"
        ) from error
    turns = np.zeros(len(labels), dtype=np.int64)  # number of earlier images of its class
    for label in np.unique(labels):
        turns[labels == label] = np.arange((labels == label).sum())
    order = np.lexsort((labels, turns))
    chosen = [int(row) for row in order if labels[row] >= 0][:_SAMPLES]
    images: list[np.ndarray] = []
    for row in chosen:
        try:
            with Image.open(io.BytesIO(table["image"][row].as_py())) as image:
                size = images[0].shape[1::-1] if images else image.size
                images.append(np.asarray(image.convert("RGB").resize(size)))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            key = table["key"][row].as_py()
            raise InputError(f"{shard}: invalid image '{key}': {error}; run `prepare`") from error
    return images, [classes[labels[row]] for row in chosen]


def _measurements(evidence: Evidence, metric: str) -> Iterator[tuple[str, Measurement]]:
    """Yield the measurements of all evaluations whose stage can have a metric."""
    study = evidence.study
    for name in _evaluations_with(study, metric):
        for _, row, seed in study.runs():
            found = evidence.measurement(row, seed, name)
            if found.status == "ok":
                yield study.encoders[row].label, found


def _evaluations_with(study: Study, metric: str) -> list[str]:
    known = {stage.name for stage in study.stages.values() if metric in stage.metrics}
    return [name for name, entry in study.evaluations.items() if entry.stage in known]


def _labels(evidence: Evidence) -> Iterator[Drawing]:
    points = [
        figures.Point(row, int(m.metrics["num_train"]), evidence.value(m, "top1_last"))
        for row, m in _measurements(evidence, "top1_last")
        if "num_train" in m.metrics
    ]
    if len({point.labels for point in points}) > 1:
        yield Drawing(
            name="labels",
            title="Accuracy against labels",
            caption="Fine-tuning with few and with all labels. Every run is a dot, the lines join "
            "the means; settings with the same number of labels are above each other.",
            seen="Mean top-1 accuracy: " + _means(points),
            svg=figures.figure_labels(points, row_colors(evidence)),
        )


def _means(points: Sequence[figures.Point]) -> str:
    groups: dict[tuple[str, int], list[float]] = {}
    for point in points:
        groups.setdefault((point.row, point.labels), []).append(100 * point.accuracy)
    parts = (f"{row} with {n} labels, {np.mean(of):.1f} %" for (row, n), of in groups.items())
    return "; ".join(parts) + "."


def _frozen(evidence: Evidence) -> Iterator[Drawing]:
    values: dict[str, dict[str, list[float]]] = {}
    for row, m in _measurements(evidence, "linear_top1_last"):
        neighbors = sorted(name for name in m.metrics if name.startswith("knn_top1_k"))
        # DINO reports k = 20; another k replaces it only if 20 was not evaluated.
        nearest = "knn_top1_k20" if "knn_top1_k20" in neighbors else "".join(neighbors[:1])
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
            caption="Nearest neighbors and a linear classifier on features that are not trained "
            "further. Bars are means over seeds, dots are seeds.",
            seen="Mean top-1 accuracy: " + _bars(values),
            svg=figures.figure_frozen(values, row_colors(evidence), _chance(evidence)),
        )


def _bars(values: dict[str, dict[str, list[float]]]) -> str:
    parts = (
        f"{measure} of {row}, {100 * np.mean(seeds):.1f} %"
        for measure, by_row in values.items()
        for row, seeds in by_row.items()
    )
    return "; ".join(parts) + "."


def _chance(evidence: Evidence) -> float | None:
    """Compute chance accuracy, if all probes use one data set with equally frequent classes."""
    study = evidence.study
    probes = _evaluations_with(study, "linear_top1_last")
    data = {name for probe in probes for name in study.evaluations[probe].data}
    path = evidence.results / "prepare" / data.pop() / "dataset.json"
    if data or not path.is_file():
        return None
    return 1.0 / len(read_json(path)["classes"])
