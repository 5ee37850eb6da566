"""Validated results of a study's runs: metrics, predictions, records."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.json_file import read_keys
from folk.evidence.record.failures import FAILED, failed_paths, record_paths
from folk.evidence.results.metrics.image_scores import ImageScores
from folk.evidence.study.stage import Stage
from folk.evidence.study.study import Study, run_name

Foreign = Literal["made by a smoke run", "made for another study", "without a record"]
FOREIGN: tuple[Foreign, ...] = get_args(Foreign)
Status = Literal["ok", "excluded", "failed", "not run", "not planned"] | Foreign

# metrics.json and the predictions are written by the same job in double precision.
_AGREE = 1e-6


@dataclass(frozen=True)
class Measurement:
    """One evaluation of one encoder; `metrics` is empty unless `status` is "ok"."""

    name: str  # such as folk-s0/few-a
    folder: Path
    status: Status
    metrics: dict[str, float] = field(default_factory=dict)
    record: str = ""  # path of the record, as it is shown
    record_id: str | None = None


@dataclass(frozen=True)
class Failure:
    """A failed or interrupted job, and whether a later start completed."""

    job: str
    outcome: str
    reason: str
    started: str
    record: str
    completed_later: bool


class Evidence:
    """Results folder of one study, such as `results/demo`; each file is read once."""

    def __init__(self, study: Study, results: Path) -> None:
        """Open `results`; files are read lazily.

        Raises:
            InputError: missing folder.
        """
        if not results.is_dir():
            raise InputError(f"{results}: no such folder; run the study '{study.name}' first")
        self.study = study
        self.results = results
        self._measurements: dict[tuple[str, int, str], Measurement] = {}
        self._derived: dict[tuple[Path, str], float | None] = {}
        self._foreign: dict[Path, Foreign | None] = {}
        self._images: dict[tuple[Path, str], ImageScores | None] = {}

    def measurement(self, row: str, seed: int, evaluation: str) -> Measurement:
        """Return the measurement of `evaluation` for the encoder of `row` and `seed`."""
        key = (row, seed, evaluation)
        if key not in self._measurements:
            self._measurements[key] = self._read(*key)
        return self._measurements[key]

    def value(self, measurement: Measurement, metric: str) -> float:
        """Return a metric, on which metrics.json and the stored predictions agree.

        Raises:
            InputError: unknown metric, or a value that differs from the predictions.
        """
        path = measurement.folder / "metrics.json"
        if metric not in measurement.metrics:
            close = nearest(metric, measurement.metrics)
            raise InputError(f"{path}: unknown metric '{metric}'{close}")
        stated = measurement.metrics[metric]
        again = self.derived(measurement, metric)
        if again is not None and abs(again - stated) > _AGREE:
            raise InputError(
                f"{path}: expected {metric} {again!r} from the stored predictions, got {stated!r}; "
                "one of the two files was changed; run this evaluation again"
            )
        return stated

    def derived(self, measurement: Measurement, metric: str) -> float | None:
        """Compute a metric from the stored predictions; None if they do not contain it."""
        key = (measurement.folder, metric)
        if key not in self._derived:
            self._derived[key] = recompute(self._stage_of(measurement), *key)
        return self._derived[key]

    def foreign(self, folder: Path) -> Foreign | None:
        """Return why the result in `folder` is foreign; None for the study's own."""
        if folder not in self._foreign:
            self._foreign[folder] = _foreign(_record(folder), self.study)
        return self._foreign[folder]

    def images(self, measurement: Measurement, metric: str) -> ImageScores | None:
        """Read the per-image scores of `metric`; None if no file has them."""
        key = (measurement.folder, metric)
        if key not in self._images:
            self._images[key] = image_scores(self._stage_of(measurement), *key)
        return self._images[key]

    def _stage_of(self, measurement: Measurement) -> Stage:
        return self.study.stages[measurement.folder.relative_to(self.results).parts[0]]

    def failures(self) -> list[Failure]:
        """List failed and interrupted jobs, in order of path."""
        found = []
        for path in failed_paths(self.results):
            record = read_json(path)
            job = path.parent.relative_to(self.results / FAILED)
            done = (self.results / job / "record.json").is_file()
            found.append(
                Failure(
                    job=job.as_posix(),
                    outcome=str(record.get("outcome", "failed")),
                    reason=_reason(record.get("error")),
                    started=str(record.get("started", "")),
                    record=shown_path(path),
                    completed_later=done,
                )
            )
        return found

    def records(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield the record of every finished job that a number may rest on."""
        for path in record_paths(self.results):
            yield path, read_json(path)

    def record_ids(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return path and id of the records of finished jobs, and of unfinished ones."""
        finished = {shown_path(path): str(record.get("id")) for path, record in self.records()}
        ends = failed_paths(self.results)
        return finished, {shown_path(path): str(read_json(path).get("id")) for path in ends}

    def folders(self) -> Iterator[tuple[str, Path]]:
        """Yield stage and result folder of every finished job, in the order of the stages."""
        for name, stage in self.study.stages.items():
            if stage.section is None:
                continue
            for folder in sorted((self.results / name).glob("*/*" if stage.is_evaluation else "*")):
                if folder.is_dir() and self.foreign(folder) is None:
                    yield name, folder

    def _read(self, row: str, seed: int, evaluation: str) -> Measurement:
        run, stage = run_name(row, seed), self.study.evaluations[evaluation].stage
        name = f"{run}/{evaluation}"
        folder = self.results / stage / run / evaluation
        if row not in self.study.rows_of(evaluation):
            return Measurement(name, folder, "not planned")
        if run in self.study.exclude:
            return Measurement(name, folder, "excluded")
        if not (folder / "metrics.json").is_file():
            places = (Path(stage, run, evaluation), Path("pretrain", run))
            failed = any(failed_paths(self.results, place) for place in places)
            return Measurement(name, folder, "failed" if failed else "not run")
        # An evaluation depends on its encoder, so both must be the study's own.
        for place in (folder, self.results / "pretrain" / run):
            if (status := self.foreign(place)) is not None:
                return Measurement(name, folder, status)
        record = _record(folder)
        return Measurement(
            name,
            folder,
            "ok",
            read_metrics(folder / "metrics.json"),
            shown_path(folder / "record.json"),
            None if record is None else record.get("id"),
        )


def read_metrics(path: Path) -> dict[str, float]:
    """Read the numbers of a metrics.json.

    Raises:
        InputError: invalid JSON, or a value that is not a finite number.
    """
    metrics = read_json(path)
    for name, value in metrics.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:
            shown = repr(value)[:80]
            raise InputError(f"{path}: {name} is {shown}, not a finite number; run it again")
    return {name: float(value) for name, value in metrics.items()}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    return read_keys(path, "run that job again")


def recompute(stage: Stage, folder: Path, metric: str) -> float | None:
    """Compute a metric from the predictions in `folder`; None if nothing stored tells it."""
    known = stage.metric(metric)
    return None if known is None else known.value_in(folder, metric)


def image_scores(stage: Stage, folder: Path, metric: str) -> ImageScores | None:
    """Read the scores of each image behind a metric; None if nothing stored has them.

    Accuracies of a best epoch, speeds and mCE have none.
    """
    known = stage.metric(metric)
    found: ImageScores | None = None if known is None else known.images_in(folder, metric)
    return found


def shown_path(path: Path) -> str:
    """Convert `path` to its form in records: relative to snakemake's folder, with `/`."""
    here = Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def _record(folder: Path) -> dict[str, Any] | None:
    path = folder / "record.json"
    return read_json(path) if path.is_file() else None


def _foreign(record: dict[str, Any] | None, study: Study) -> Foreign | None:
    """Return why a result may not enter the study's tables, since files can be copied."""
    if record is None:
        # At the papers' scale the mark of a smoke run must not get lost.
        return "without a record" if study.scale == "paper" else None
    # A record without these keys is from no job of ours; the audit checks its form.
    made_for, scale = record.get("study", study.name), record.get("scale", study.scale)
    if scale == "smoke" and study.scale != "smoke":
        return "made by a smoke run"
    return None if (made_for, scale) == (study.name, study.scale) else "made for another study"


def _reason(error: Any) -> str:
    if isinstance(error, dict):
        return ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))
    return str(error or "")
