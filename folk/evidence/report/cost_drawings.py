"""Figures of accuracy against cost: hours from records, FLOPs from the stage `cost`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from folk.evidence.record.times import device_hours
from folk.evidence.report import figures
from folk.evidence.report.drawing import Drawing, NotDrawn, row_colors
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence, read_json, shown_path
from folk.evidence.results.metrics import intervals
from folk.evidence.study.study import run_name

_TITLE = "Accuracy against cost"
_PREFIXES = (("E", 1e9), ("P", 1e6), ("T", 1e3), ("G", 1.0))  # of a GFLOP


class _UnknownError(Exception):
    """The reason why a row, or all of them, have no cost, as a clause."""


def draw_cost(evidence: Evidence, cells: Sequence[Cell]) -> Iterator[Drawing | NotDrawn]:
    """Draw the first column of the first table against each known kind of cost."""
    # By convention, a study's first column is its main result.
    first = next((cell for cell in cells if not cell.quoted), None)
    if first is None:
        return
    rows = [
        cell
        for cell in cells
        if (cell.table, cell.column) == (first.table, first.column) and cell.value is not None
    ]
    table = evidence.study.tables[first.table]
    value = table.columns[first.column].label
    panels, parts, missing = [], [], []
    for measure in (_by_hours, _by_arithmetic):
        try:
            axis, points, meaning, without = measure(evidence, rows)
        except _UnknownError as unknown:
            missing.append(str(unknown))
            continue
        panels.append(figures.Panel(axis, value, points))
        parts.append(f"{meaning}{_except(without)}")
    if not panels:
        yield NotDrawn(_TITLE, "; ".join(missing))
        return
    yield Drawing(
        name="cost",
        title=_TITLE,
        caption=f"{table.title}. Means over seeds, bars are deviations. {' '.join(parts)}",
        seen=" ".join(map(_seen, panels)),
        svg=figures.figure_spent(panels, row_colors(evidence)),
    )


_Measured = tuple[str, list[figures.Spent], str, dict[str, str]]


def _by_hours(evidence: Evidence, cells: Sequence[Cell]) -> _Measured:
    """Compute device-hours of pre-training and evaluations, on one kind of device."""
    hours: dict[str, list[float]] = {}
    devices: set[str] = set()
    without: dict[str, str] = {}
    for cell in cells:
        try:
            jobs = [_jobs(evidence, cell, seed) for seed in dict.fromkeys(cell.seeds)]
            hours[cell.row] = [sum(map(_device_hours, records)) for records in jobs]
        except _UnknownError as unknown:
            without[_label(evidence, cell)] = str(unknown)
            continue
        devices |= {_device(record) for records in jobs for record in records}
    if len(hours) < 2:
        raise _UnknownError(f"fewer than two rows with known hours{_except(without, ' (')}")
    if len(devices) > 1:
        names = ", ".join(sorted(devices))
        raise _UnknownError(f"hours of different devices are not comparable: {names}")
    (device,) = devices
    noun = "GPU" if device.startswith("GPU ") else "core"
    small = max(map(max, hours.values())) < 3.0
    axis = f"{noun}-{'minutes' if small else 'hours'} of pre-training and evaluation"
    scale = 60.0 if small else 1.0
    points = [_point(evidence, cell, hours[cell.row], scale) for cell in cells if cell.row in hours]
    name = device.removeprefix("GPU ")
    meaning = f"Time is that of the records, on {name}, including the effect of other load."
    return axis, points, meaning, without


def _by_arithmetic(evidence: Evidence, cells: Sequence[Cell]) -> _Measured:
    """Compute the FLOPs of the whole pre-training from those of a step in the stage `cost`."""
    stages, evaluations = evidence.study.stages, evidence.study.evaluations
    names = [name for name, entry in evaluations.items() if stages[entry.stage].of_one_machine]
    if not names:
        raise _UnknownError("the study does not run `cost`")
    gflop: dict[str, list[float]] = {}
    without: dict[str, str] = {}
    for cell in cells:
        seeds = dict.fromkeys(cell.seeds)
        found = [evidence.measurement(cell.row, s, name) for name in names for s in seeds]
        steps = [m.metrics for m in found if m.status == "ok" and "step_gflops" in m.metrics]
        if steps:
            # Time cancels: images per second and hours give the total number of images.
            gflop[cell.row] = [
                m["step_gflops"] * m["images_per_second"] * m["hours_total"] * 3600.0 for m in steps
            ]
        else:
            without[_label(evidence, cell)] = "no step was measured"
    if len(gflop) < 2:
        raise _UnknownError(
            f"fewer than two rows whose steps `cost` measured{_except(without, ' (')}"
        )
    most = max(map(max, gflop.values()))
    prefix, unit = next((p, size) for p, size in _PREFIXES if most >= 2.0 * size or size == 1.0)
    axis = f"{prefix}FLOP of pre-training"
    points = [
        _point(evidence, cell, gflop[cell.row], 1.0 / unit) for cell in cells if cell.row in gflop
    ]
    meaning = (
        "FLOP are counted by the stage `cost`: matrix products and convolutions of every step, "
        "those of the teacher too; they are the same on every machine."
    )
    return axis, points, meaning, without


def _jobs(evidence: Evidence, cell: Cell, seed: int) -> list[dict[str, Any]]:
    """Read the records of the pre-training and the evaluations of one seed of a cell."""
    pretrain = _record(evidence.results / "pretrain" / run_name(cell.row, seed))
    if pretrain["recipe"]["encoder"]["checkpoint"] is not None:
        raise _UnknownError("pre-trained by others")
    column = evidence.study.tables[cell.table].columns[cell.column]
    parts = [evidence.measurement(cell.row, seed, name) for name in column.evaluations]
    return [pretrain, *(_record(part.folder) for part in parts)]


def _record(folder: Path) -> dict[str, Any]:
    path = folder / "record.json"
    record = read_json(path) if path.is_file() else {}
    if "seconds" not in record:
        raise _UnknownError(f"no record of the time in {shown_path(folder)}")
    return record


def _device_hours(record: dict[str, Any]) -> float:
    hours = device_hours(record)
    if hours is None:
        raise _UnknownError("a start was killed, so its time is unknown")
    return hours


def _device(record: dict[str, Any]) -> str:
    hardware = record["hardware"]
    return f"GPU {hardware['gpus'][0]}" if hardware["gpus"] else str(hardware["cpu"] or "a CPU")


def _point(evidence: Evidence, cell: Cell, costs: Sequence[float], scale: float) -> figures.Spent:
    assert cell.value is not None
    scaled = [cost * scale for cost in costs]
    return figures.Spent(
        row=_label(evidence, cell),
        cost=intervals.mean(scaled),
        cost_deviation=intervals.deviation(scaled),
        value=cell.value,
        value_deviation=cell.std,
    )


def _label(evidence: Evidence, cell: Cell) -> str:
    return evidence.study.encoders[cell.row].label


def _except(without: dict[str, str], start: str = " Without ") -> str:
    """Describe the rows without a point, with the reasons."""
    if not without:
        return ""
    rows = "; ".join(f"{label}: {why}" for label, why in without.items())
    return f"{start}{rows}" + (")" if "(" in start else ".")


def _seen(panel: figures.Panel) -> str:
    points = "; ".join(f"{p.row}, {p.value:.1f} at {p.cost:.3g}" for p in panel.points)
    return f"{panel.value} and {panel.cost}: {points}."
