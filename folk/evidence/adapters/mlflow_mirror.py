"""Mirror of a study in MLflow: replay of its records, and live curves of running jobs.

The files are the source of truth. MLflow can be deleted and filled again, nothing reads a number
from it, and no job fails because MLflow did. This is the only module that imports mlflow, inside
functions, because that takes seconds.
"""

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from folk.evidence.adapters.mlflow_replay import (
    history_of,
    milliseconds,
    records_of,
    spelt,
    tags_of,
)
from folk.evidence.core.files import TEMP_SUFFIX, flush_to_disk
from folk.evidence.core.secrets import without_secrets
from folk.evidence.core.yaml_model import flattened
from folk.evidence.record.adopted import read_adopted

# Limits of MLflow 3.17, mlflow/utils/validation.py.
ENTITIES_A_BATCH = 1000
PARAMS_A_BATCH = 100
DIGEST_LENGTH = 36
LONGEST_REASON = 500  # characters of MLflow's message about a failure

STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
RECORD_TAG, OLD_TAG, ADOPTED_TAG = "folk.record_id", "folk.superseded", "folk.adopted"
DATA_FILES = ("dataset.json", "keys.parquet")


@dataclass(frozen=True)
class SyncReport:
    """Result of a replay; all counts are of records."""

    uri: str
    found: int = 0  # readable records of the study, those of failed jobs included
    created: int = 0  # runs that MLflow did not have
    superseded: int = 0  # runs in MLflow whose job was run again since
    unreadable: list[str] = field(default_factory=list)  # one line a record
    error: str | None = None  # MLflow's error, if it failed

    def __str__(self) -> str:
        text = f"MLflow {self.uri}: {self.found} records, {self.created} new"
        if self.superseded:
            text += f", {self.superseded} superseded"
        text += "".join(f"\nnot mirrored: {line}" for line in self.unreadable)
        return f"{text}\nMLflow failed: {self.error}" if self.error else text


def sync_study(study_dir: Path, uri: str | None, study: str) -> SyncReport:
    """Replay every record of a study into MLflow: one experiment, one run per record.

    It is idempotent. Only one process may call it at a time on the same store.

    Args:
        study_dir: results of the study, such as `results/demo`.
        uri: MLflow store or server; None takes `sqlite:///<study_dir>/mlflow.db`.
        study: name of the study and of the experiment.

    Returns:
        the result. A failure of MLflow is in its `error`, because it must not stop a workflow;
        replayed records stay, and the next call continues.
    """
    # The note of what was done is shared, and a machine's folders are nobody's business.
    shown = without_secrets(uri or f"sqlite:///{study_dir.as_posix()}/mlflow.db")
    uri = uri or f"sqlite:///{study_dir.resolve().as_posix()}/mlflow.db"
    records, unreadable = records_of(study_dir)
    try:
        adopted = set(read_adopted(study_dir).values())
        created, superseded = _replay(records, uri, study, adopted)
    except Exception as error:  # noqa: BLE001 - mlflow, sqlalchemy, alembic and requests raise their own
        return SyncReport(shown, len(records), 0, 0, unreadable, _reason(error))
    return SyncReport(shown, len(records), created, superseded, unreadable)


class LiveMirror:
    """Live mirror of a job's history on an MLflow server, without effect on the job.

    Only an http(s) address is a server: anything else makes this a no-op, because jobs that open
    the same sqlite file in parallel break it. Numbers go through a queue to a separate thread; a
    failure is printed once, then nothing more is sent.
    """

    LONGEST_WAIT = 10.0  # seconds at the end of a job, to empty the queue
    QUEUE_LENGTH = 10_000

    def __init__(self, uri: str | None, study: str, name: str) -> None:
        """Prepare; nothing is sent before the block is entered.

        Args:
            uri: usually the value of MLFLOW_TRACKING_URI.
            study: name of the experiment.
            name: name of the run, such as `pretrain/folk-s0`.
        """
        self._uri = uri if uri and uri.startswith(("http://", "https://")) else None
        self._study, self._name = study, name
        self._lines: queue.Queue[tuple[int, int, dict[str, float]] | str] = queue.Queue(
            self.QUEUE_LENGTH
        )
        self._thread: threading.Thread | None = None
        self._has_spoken = False

    def __enter__(self) -> "LiveMirror":
        if self._uri is not None:
            self._thread = threading.Thread(target=self._send, name="mlflow", daemon=True)
            self._thread.start()
        return self

    def log(self, step: int, values: dict[str, float]) -> None:
        """Queue the numbers of a step; they are dropped if the server is too slow."""
        if self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._lines.put_nowait((step, _now_ms(), dict(values)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is None or not self._thread.is_alive():
            return
        stopped = kind is not None and not issubclass(kind, Exception)
        end = "KILLED" if stopped else "FAILED" if kind else "FINISHED"
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(end)
        self._thread.join(self.LONGEST_WAIT)
        if self._thread.is_alive():
            self._say("the server is too slow; the job does not wait for it")
            self._has_spoken = True

    def _send(self) -> None:
        try:
            client = _client(str(self._uri), seconds=10)
            experiment = _experiment(client, self._study)
            tags = {"folk.study": self._study, "folk.live": "true"}
            run = _id_of(client.create_run(experiment, tags=tags, run_name=self._name).info.run_id)
            while True:
                metrics, end = self._gathered()
                if metrics:
                    client.log_batch(run, metrics=metrics[:ENTITIES_A_BATCH], synchronous=True)
                if end is not None:
                    client.set_terminated(run, status=end)
                    return
        except Exception as error:  # noqa: BLE001 - the job continues after any error
            if not self._has_spoken:  # about being too slow
                self._say(_reason(error))

    def _gathered(self) -> tuple[list[Any], str | None]:
        """Wait for a line, then take up to a batch from the queue."""
        metrics: list[Any] = []
        line: tuple[int, int, dict[str, float]] | str | None = self._lines.get()
        while line is not None:
            if isinstance(line, str):
                return metrics, line
            step, moment, values = line
            metrics += _metrics(step, moment, values)
            if len(metrics) > ENTITIES_A_BATCH // 2:
                break
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                line = None
        return metrics, None

    def _say(self, what: str) -> None:
        line = without_secrets(f"MLflow at {self._uri}: no live curves: {what}")
        print(line, file=sys.stderr)


def _reason(error: Exception) -> str:
    """Shorten an error of MLflow or a server to a line that is safe in a log."""
    first = next(iter(str(error).splitlines()), "")[:LONGEST_REASON]
    printable = "".join(letter if letter.isprintable() else "?" for letter in first)
    return f"{type(error).__name__}: {without_secrets(printable)}"


def _id_of(answer: Any) -> str:
    """Return the id in MLflow's answer. RuntimeError: without one, nothing was stored."""
    if not answer:
        raise RuntimeError("the server stored nothing; check that it is an MLflow server")
    return str(answer)


def _replay(
    records: list[tuple[Path, dict[str, Any]]], uri: str, study: str, adopted: set[str]
) -> tuple[int, int]:
    client = _client(uri)
    experiment = _experiment(client, study)
    known = {}
    for run in _runs(client, experiment):
        if run.info.status != "RUNNING":
            known[run.data.tags[RECORD_TAG]] = run
        else:
            client.delete_run(run.info.run_id)  # an earlier replay was interrupted inside it
    created = 0
    for path, record in records:
        if record["id"] not in known:
            _create_run(client, experiment, path, record, record["id"] in adopted)
            created += 1
    present = {record["id"] for _, record in records}
    for record_id, run in known.items():
        if record_id not in present and OLD_TAG not in run.data.tags:
            client.set_tag(run.info.run_id, OLD_TAG, "true")
        elif record_id in present and OLD_TAG in run.data.tags:
            client.delete_tag(run.info.run_id, OLD_TAG)
    return created, len(known.keys() - present)


def _create_run(
    client: Any, experiment: str, path: Path, record: dict[str, Any], adopted: bool
) -> None:
    from mlflow.entities import Param

    started = milliseconds(record["started"])
    ended = milliseconds(record["ended"]) if record["ended"] else started
    name = "/".join(filter(None, (record["stage"], record["run"], record["evaluation"])))
    tags = {key: spelt(value) for key, value in tags_of(record).items()}
    tags[RECORD_TAG] = record["id"]
    if adopted:
        tags[ADOPTED_TAG] = "true"
    created = client.create_run(experiment, start_time=started, run_name=name, tags=tags)
    run = _id_of(created.info.run_id)
    recipe = flattened(record["recipe"])
    params = [Param(key, spelt(value)) for key, value in recipe.items()]
    last_step, metrics = 0, []
    for step, moment, values in history_of(path, record):
        last_step = max(last_step, step)
        metrics += _metrics(step, moment, values)
    metrics += _metrics(last_step, ended, record["metrics"])
    # Each call is a transaction, which takes time: as few as the limits allow.
    while params or metrics:
        some_params, params = params[:PARAMS_A_BATCH], params[PARAMS_A_BATCH:]
        room = ENTITIES_A_BATCH - len(some_params)
        some_metrics, metrics = metrics[:room], metrics[room:]
        client.log_batch(run, metrics=some_metrics, params=some_params, synchronous=True)
    if datasets := _datasets(record):
        client.log_inputs(run, datasets=datasets)
    # Last: a run still marked as running was interrupted, and is made again.
    client.set_terminated(run, status=STATUS[record["outcome"]], end_time=ended)


def _datasets(record: dict[str, Any]) -> list[Any]:
    from mlflow.data import meta_dataset
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for entry in record["inputs"]:
        place = Path(entry["path"])
        if place.name not in DATA_FILES:
            continue
        source = CodeDatasetSource({"path": entry["path"], "record": entry["record"] or ""})
        digest = entry["sha256"][:DIGEST_LENGTH]
        make: Any = meta_dataset.MetaDataset  # its types mark it as abstract, which it is not
        meta = make(source, name=place.parent.name, digest=digest)
        tags = {"mlflow.data.context": record["stage"], "sha256": entry["sha256"]}
        entity: Any = Dataset.from_dictionary(meta.to_dict())
        found.append(DatasetInput(entity, [InputTag(key, value) for key, value in tags.items()]))
    return found


def _client(uri: str, seconds: int = 30) -> Any:
    """Make a client that gives up: three tries of so many seconds each."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # It would print the server's address, with its password, to standard output.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # Fewer and shorter tries than MLflow's seven of two minutes each.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(seconds))
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow import MlflowClient

    if not uri.startswith(("http://", "https://")):
        _make_database(uri)
    return MlflowClient(tracking_uri=uri)


def _make_database(uri: str) -> None:
    """Migrate a database to this MLflow's schema; no other process may do so in parallel."""
    from mlflow import db

    upgrade: Any = db.upgrade.callback
    path = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
    if path is None or path.exists():
        upgrade(uri)
        return
    # In a temp file: a kill in the middle would leave tables without a schema version.
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}{TEMP_SUFFIX}")
    try:
        _remove(temp)
        upgrade(f"sqlite:///{temp.resolve().as_posix()}")
        flush_to_disk(temp)
        temp.rename(path)
        flush_to_disk(path.parent)
    except BaseException:
        _remove(temp)
        raise


def _remove(database: Path) -> None:
    for part in ("", "-journal", "-wal", "-shm"):
        database.with_name(f"{database.name}{part}").unlink(missing_ok=True)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return _id_of(client.create_experiment(name))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return _id_of(found.experiment_id)


def _runs(client: Any, experiment: str) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment], f"tags.`{RECORD_TAG}` != ''", max_results=1000, page_token=token
        )
        yield from page
        token = page.token
        if not token or not page:  # the server's last page
            return


def _metrics(step: int, moment_ms: int, values: dict[str, Any]) -> list[Any]:
    from mlflow.entities import Metric

    return [
        Metric(name, float(value), moment_ms, step)
        for name, value in values.items()
        if isinstance(value, int | float)
    ]


def _now_ms() -> int:
    return int(time.time() * 1000)
