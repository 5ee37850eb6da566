"""Mirror of a study in MLflow: replay of its records, and live curves of running jobs.

The files are the source of truth. MLflow can be deleted and filled again, nothing reads a number
from it, and no job fails because MLflow did. This is the only module that imports mlflow, inside
functions, because that takes seconds.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from folk.evidence.adapters.mlflow_replay import (
    WEIGHTS,
    history_of,
    milliseconds,
    records_of,
    spelt,
    tags_of,
    weights_of,
)
from folk.evidence.core.files import follow_umask
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

    A job that made weights has a model too, without bytes. Its metrics are those of that job and of
    each job that read the weights, with the data set that they were measured on.

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
    the same sqlite file in parallel break it. MLflow's own threads send the numbers; a failure is
    printed once.
    """

    def __init__(self, uri: str | None, study: str, name: str) -> None:
        """Prepare; nothing is sent before the block is entered.

        Args:
            uri: usually the value of MLFLOW_TRACKING_URI.
            study: name of the experiment.
            name: name of the run, such as `pretrain/folk-s0`.
        """
        self._uri = uri if uri and uri.startswith(("http://", "https://")) else None
        self._study, self._name = study, name
        self._client: Any = None
        self._run: str | None = None
        self._sent: list[Any] = []

    def __enter__(self) -> "LiveMirror":
        if self._uri is not None:
            with self._without_failing():
                # One short try; numbers are sent together every few seconds; no lines of its own.
                os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
                os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
                os.environ.setdefault("MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS", "5")
                os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
                self._client = _client(self._uri)
                experiment = _experiment(self._client, self._study)
                tags = {"folk.study": self._study, "folk.live": "true"}
                run = self._client.create_run(experiment, tags=tags, run_name=self._name)
                self._run = run.info.run_id
        return self

    def log(self, step: int, values: dict[str, float]) -> None:
        """Queue the numbers of a step."""
        if self._run is not None:
            with self._without_failing():
                metrics = _metrics(step, int(time.time() * 1000), values)
                sent = self._client.log_batch(self._run, metrics=metrics, synchronous=False)
                self._sent.append(sent)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._run is not None:
            stopped = kind is not None and not issubclass(kind, Exception)
            end = "KILLED" if stopped else "FAILED" if kind else "FINISHED"
            with self._without_failing():
                for sent in self._sent:
                    sent.wait()
                self._client.set_terminated(self._run, status=end)

    @contextlib.contextmanager
    def _without_failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the job continues after any error
            self._run = None
            line = without_secrets(f"MLflow at {self._uri}: no live curves: {_reason(error)}")
            print(line, file=sys.stderr)


def _reason(error: Exception) -> str:
    """Shorten an error of MLflow or a server to a line that is safe in a log."""
    first = next(iter(str(error).splitlines()), "")[:LONGEST_REASON]
    printable = "".join(letter if letter.isprintable() else "?" for letter in first)
    return f"{type(error).__name__}: {without_secrets(printable)}"


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
    models = _models(client, experiment, known.keys())
    created = 0
    for path, record in records:
        if record["id"] not in known:
            _create_run(client, experiment, path, record, record["id"] in adopted, models)
            created += 1
    present = {record["id"] for _, record in records}
    for record_id, run in known.items():
        if record_id not in present and OLD_TAG not in run.data.tags:
            client.set_tag(run.info.run_id, OLD_TAG, "true")
            if record_id in models:
                client.set_logged_model_tags(models[record_id], {OLD_TAG: "true"})
        elif record_id in present and OLD_TAG in run.data.tags:
            client.delete_tag(run.info.run_id, OLD_TAG)
            if record_id in models:
                client.delete_logged_model_tag(models[record_id], OLD_TAG)
    return created, len(known.keys() - present)


def _create_run(
    client: Any,
    experiment: str,
    path: Path,
    record: dict[str, Any],
    adopted: bool,
    models: dict[str, str],
) -> None:
    from mlflow.entities import LoggedModelInput, LoggedModelOutput, Param

    started = milliseconds(record["started"])
    ended = milliseconds(record["ended"]) if record["ended"] else started
    name = "/".join(filter(None, (record["stage"], record["run"], record["evaluation"])))
    tags = {key: spelt(value) for key, value in tags_of(record).items()}
    tags[RECORD_TAG] = record["id"]
    if adopted:
        tags[ADOPTED_TAG] = "true"
    created = client.create_run(experiment, start_time=started, run_name=name, tags=tags)
    run = created.info.run_id
    recipe = flattened(record["recipe"])
    params = [Param(key, spelt(value)) for key, value in recipe.items()]
    read = [
        models[entry["record"]]
        for entry in record["inputs"]
        if entry["path"].endswith(WEIGHTS) and entry["record"] in models
    ]
    made = []
    last_step, metrics = 0, []
    for step, moment, values in history_of(path, record):
        last_step = max(last_step, step)
        metrics += _metrics(step, moment, values)
    if (weights := weights_of(path, record)) is not None:
        model_tags = {key: value for key, value in tags.items() if key.startswith("folk.")}
        model_tags |= {"folk.sha256": weights["sha256"], "folk.path": weights["path"]}
        model = client.create_logged_model(
            experiment,
            name.replace("/", "-"),
            source_run_id=run,
            tags=model_tags,
            params={param.key: param.value for param in params},
            model_type=Path(weights["path"]).stem,
        )
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run, [LoggedModelOutput(model.model_id, last_step)])
        models[record["id"]] = model.model_id
        made = [model.model_id]
    data = _measured_on(record)
    for model_id in [*made, *read] or [None]:
        metrics += _metrics(last_step, ended, record["metrics"], model_id=model_id, **data)
    # Each call is a transaction, which takes time: as few as the limits allow.
    while params or metrics:
        some_params, params = params[:PARAMS_A_BATCH], params[PARAMS_A_BATCH:]
        room = ENTITIES_A_BATCH - len(some_params)
        some_metrics, metrics = metrics[:room], metrics[room:]
        client.log_batch(run, metrics=some_metrics, params=some_params, synchronous=True)
    datasets, inputs = _datasets(record), [LoggedModelInput(model) for model in read]
    if datasets or inputs:
        client.log_inputs(run, datasets=datasets, models=inputs)
    # Last: a run still marked as running was interrupted, and is made again.
    client.set_terminated(run, status=STATUS[record["outcome"]], end_time=ended)


def _models(client: Any, experiment: str, known: Collection[str]) -> dict[str, str]:
    """Map records to their models; one without a whole run was interrupted, and is deleted."""
    every = _paged(lambda token: client.search_logged_models([experiment], page_token=token))
    found = {model.tags[RECORD_TAG]: model.model_id for model in every if RECORD_TAG in model.tags}
    for record_id in found.keys() - known:
        client.delete_logged_model(found.pop(record_id))
    return found


def _measured_on(record: dict[str, Any]) -> dict[str, str]:
    """Name the data set of a job's metrics; nothing if the job read several, or none."""
    paths = {e["path"]: e["sha256"] for e in record["inputs"] if e["path"].endswith(DATA_FILES[0])}
    if len(paths) != 1:
        return {}
    ((path, sha256),) = paths.items()
    return {"dataset_name": Path(path).parent.name, "dataset_digest": sha256[:DIGEST_LENGTH]}


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


def _client(uri: str) -> Any:
    """Make a client that gives up: three tries of half a minute each."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # It would print the server's address, with its password, to standard output.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow import MlflowClient

    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.exists():
        # In a temp folder: a kill in the middle would leave tables without a schema version.
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temp:
            made = Path(temp).resolve() / path.name
            MlflowClient(f"sqlite:///{made.as_posix()}").search_experiments(max_results=1)
            follow_umask(made)  # sqlite never lets a group write
            made.rename(path)
    return MlflowClient(uri)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _runs(client: Any, experiment: str) -> Iterator[Any]:
    wanted = f"tags.`{RECORD_TAG}` != ''"
    return _paged(
        lambda token: client.search_runs([experiment], wanted, max_results=1000, page_token=token)
    )


def _paged(search: Callable[[str | None], Any]) -> Iterator[Any]:
    page = search(None)
    yield from page
    while page.token:
        page = search(page.token)
        yield from page


def _metrics(step: int, moment_ms: int, values: dict[str, Any], **model: str | None) -> list[Any]:
    from mlflow.entities import Metric

    return [
        Metric(name, float(value), moment_ms, step, **model)
        for name, value in values.items()
        if isinstance(value, int | float)
    ]
