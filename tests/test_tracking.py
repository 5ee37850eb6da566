"""MLflow shows what the records say, once, and no job fails because MLflow did."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from folk.evidence.adapters.mlflow_mirror import LiveMirror, sync_study
from folk.evidence.record.schema import read_record
from tests.faults.disk import small_files
from tests.faults.table import fault
from tests.toy import RESULTS, do, opened

pytestmark = pytest.mark.slow

DATA = RESULTS / "prepare/scenes"
RUN = RESULTS / "pretrain/folk-s0"
STEPS = 1200


RECIPE = {"optim": {"epochs": 3, "betas": [0.9, 0.95]}, "about": "x" * 9000}


def pretrain():
    inputs = {"dataset": DATA / "dataset.json"}
    with opened("pretrain", "folk-s0", inputs=inputs, recipe=RECIPE) as record:
        lines = [
            {"step": step, "epoch": step / 10, "time": 1.8e9 + step, "loss": 1 / (step + 1)}
            for step in range(STEPS)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (record.work / "metrics.jsonl").write_text(text)
        (record.work / "encoder.safetensors").write_bytes(b"weights")
        names = ("metrics.jsonl", "encoder.safetensors")
        record.finish(
            {name: RUN / name for name in names},
            {"loss_last": 0.25},
            RUN / "record.json",
            {record.work / name: RUN / name for name in names},
        )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A prepared data set, a finished run with a long history, and a job that failed."""
    folder, before = tmp_path_factory.mktemp("study"), Path.cwd()
    os.chdir(folder)
    do("prepare", "scenes", {"dataset.json": "{}"})
    pretrain()
    with pytest.raises(RuntimeError):
        fail()
    yield folder
    os.chdir(before)


def fail():
    with opened("finetune", "folk-s0", "few") as record:
        lines = [
            {"step": 1, "epoch": 0.1, "time": time.time() - 9999, "loss": 7.0},  # an earlier start
            {"step": 2, "epoch": 0.2, "time": time.time(), "loss": 5.0},
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (record.work / "metrics.jsonl").write_text(text + '{"step": 3, "ti')
        time.sleep(0.01)
        raise RuntimeError("loss is not finite")


@pytest.fixture(scope="module")
def synced(study):
    return sync_study(study / RESULTS, None, "demo")


@pytest.fixture(scope="module")
def client(synced):
    from mlflow import MlflowClient

    return MlflowClient(synced.uri)


def runs_of(client):
    experiment = client.get_experiment_by_name("demo").experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment])}


def test_every_record_becomes_a_run_and_failed_jobs_do_too(synced, client):
    assert (synced.found, synced.created, synced.error) == (3, 3, None)
    assert {name: run.info.status for name, run in runs_of(client).items()} == {
        "prepare/scenes": "FINISHED",
        "pretrain/folk-s0": "FINISHED",
        "finetune/folk-s0/few": "FAILED",
    }


def test_a_second_replay_changes_nothing(synced, client, study):
    before = {name: run.to_dictionary() for name, run in runs_of(client).items()}

    again = sync_study(study / RESULTS, None, "demo")

    assert (again.found, again.created) == (3, 0)
    assert {name: run.to_dictionary() for name, run in runs_of(client).items()} == before


def test_the_whole_history_is_there_with_its_steps_and_times(client):
    run = runs_of(client)["pretrain/folk-s0"]

    history = client.get_metric_history(run.info.run_id, "loss")

    assert len(history) == STEPS
    point = next(metric for metric in history if metric.step == 999)
    assert (point.value, point.timestamp) == (1 / 1000, int((1.8e9 + 999) * 1000))
    assert run.data.metrics["loss_last"] == 0.25


def test_a_failed_job_shows_only_the_lines_of_its_own_start(client):
    run = runs_of(client)["finetune/folk-s0/few"]

    history = client.get_metric_history(run.info.run_id, "loss")

    assert [(metric.step, metric.value) for metric in history] == [(2, 5.0)]
    assert run.data.tags["folk.error"] == "RuntimeError: loss is not finite"


def test_an_adopted_record_is_marked_as_such(study, tmp_path):
    from mlflow import MlflowClient

    results = tmp_path / "demo"
    shutil.copytree(study / RESULTS, results, ignore=shutil.ignore_patterns("mlflow.db*"))
    entry = {"path": "results/demo/pretrain/folk-s0/record.json"}
    entry["id"] = read_record(RUN / "record.json")["id"]
    (results / "adopted.json").write_text(json.dumps({"records": [entry]}))

    done = sync_study(results, None, "demo")

    tagged = {n: "folk.adopted" in r.data.tags for n, r in runs_of(MlflowClient(done.uri)).items()}
    assert [name for name, is_adopted in tagged.items() if is_adopted] == ["pretrain/folk-s0"]


def test_parameters_tags_and_data_are_those_of_the_record(client, study):
    run = runs_of(client)["pretrain/folk-s0"]
    record = read_record(RUN / "record.json")

    assert run.data.params["optim.epochs"] == "3"
    assert run.data.params["optim.betas"] == "[0.9, 0.95]"
    assert len(run.data.params["about"]) == 6000
    assert run.data.tags["folk.record_id"] == record["id"]
    assert run.data.tags["folk.encoder"] == record["outputs"][1]["sha256"]
    assert run.data.tags["folk.code_fingerprint"] == "c" * 64
    (data,) = run.inputs.dataset_inputs
    digest = record["inputs"][0]["sha256"]
    assert (data.dataset.name, data.dataset.digest) == ("scenes", digest[:36])
    assert {tag.key: tag.value for tag in data.tags}["sha256"] == digest


@fault("Services", "a lost MLflow database", "filled again from the records")
def test_a_lost_database_is_filled_again_with_the_same_runs(client, study):
    before = {name: run.data.to_dictionary() for name, run in runs_of(client).items()}
    from mlflow import MlflowClient

    report = sync_study(study / RESULTS, f"sqlite:///{study}/other/again.db", "demo")

    again = runs_of(MlflowClient(report.uri))
    assert {name: run.data.to_dictionary() for name, run in again.items()} == before


@fault("Services", "a mirroring that is cut off", "the next one makes the mirror whole")
def test_a_replay_that_was_cut_off_is_made_whole(client, study):
    run = runs_of(client)["pretrain/folk-s0"]
    client.update_run(run.info.run_id, status="RUNNING")

    report = sync_study(study / RESULTS, None, "demo")

    assert report.created == 1
    assert len(runs_of(client)) == 3


@fault(
    "Disk",
    "the disk is full while MLflow's database is made; an earlier `kill -9` has left half of one",
    "the mirror says so and the study goes on; the next replay makes a whole one",
    lost="nothing: the records are the truth",
)
def test_half_a_database_is_never_taken_for_one(study, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(study / RESULTS, folder, ignore=shutil.ignore_patterns("mlflow.db"))
    (folder / ".mlflow.db.left").mkdir()
    (folder / ".mlflow.db.left/mlflow.db").write_bytes(b"half")
    with small_files(200_000):
        done = sync_study(folder, None, "demo")
    assert done.error is not None
    assert "disk" in done.error
    assert list(folder.glob("*mlflow.db*")) == []

    done = sync_study(folder, None, "demo")
    assert done.error is None
    assert done.created == done.found > 0


def test_a_job_that_was_run_again_replaces_the_old_run_in_name_only(client, study):
    old = runs_of(client)["pretrain/folk-s0"].info.run_id
    pretrain()

    report = sync_study(study / RESULTS, None, "demo")

    assert (report.created, report.superseded) == (1, 1)
    assert client.get_run(old).data.tags["folk.superseded"] == "true"
    assert sync_study(study / RESULTS, None, "demo").created == 0


def test_an_unreadable_record_is_named_and_the_others_are_mirrored(synced, study):
    path = study / RESULTS / "probe/folk-s0/frozen/record.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")

    report = sync_study(study / RESULTS, None, "demo")

    path.unlink()
    assert report.found >= 3
    assert "frozen/record.json: invalid record" in report.unreadable[0]
    assert "not mirrored" in str(report)


@fault("Services", "an MLflow database that is none", "reported in tracked.json; no job fails")
def test_a_broken_store_is_reported_and_raises_nothing(study, tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)

    report = sync_study(study / RESULTS, f"sqlite:///{tmp_path}/mlflow.db", "demo")

    assert "not a database" in report.error
    json.dumps(vars(report))


@pytest.mark.parametrize("uri", [None, "", "sqlite:///live.db", "file:///mlruns"])
def test_live_curves_need_a_server(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LiveMirror(uri, "demo", "pretrain/folk-s0") as mirror:
        mirror.log(1, {"loss": 1.0})

    assert mirror._run is None
    assert list(tmp_path.iterdir()) == []


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@fault("Services", "an MLflow server that is down", "one line in the log; the job goes on",
       lost="the live curve")  # fmt: skip
def test_a_server_that_is_down_costs_one_line_and_no_exception(capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with LiveMirror(f"http://127.0.0.1:{free_port()}", "demo", "pretrain/folk-s0") as mirror:
        start = time.perf_counter()
        for step in range(20_000):
            mirror.log(step, {"loss": 1.0})
        assert time.perf_counter() - start < 5

    said = capsys.readouterr().err
    assert said.count("no live curves") == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real server: its address and its database."""
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"),
        *("--default-artifact-root", str(folder / "artifacts")),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{uri}/health"):
            break
        time.sleep(0.2)
    yield uri, folder / "server.db"
    os.killpg(process.pid, 15)
    process.wait(30)


def test_a_server_shows_the_curve_of_a_running_job(server):
    uri, store = server

    with LiveMirror(uri, "live", "pretrain/folk-s0") as mirror:
        for step in range(50):
            mirror.log(step, {"loss": float(step)})

    with sqlite3.connect(store) as database:
        join = "metrics join runs using (run_uuid) where name = 'pretrain/folk-s0' and key = 'loss'"
        (count,) = database.execute(f"select count(*) from {join}").fetchone()
        statuses = database.execute(f"select distinct status from {join}").fetchall()
    assert (count, statuses) == (50, [("FINISHED",)])


@fault("Services", "an MLflow server that is away while a job runs and returns later",
       "the job goes on; `folk mlflow-sync` mirrors all of it", lost="the live curve")  # fmt: skip
def test_a_server_that_returns_is_filled_from_the_records(server, study, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = sync_study(study / RESULTS, f"http://127.0.0.1:{free_port()}", "demo")
    uri, _ = server

    back = sync_study(study / RESULTS, uri, "demo")

    assert away.error
    assert (away.created, back.error, back.created) == (0, None, back.found)
    assert back.found >= 3
    assert sync_study(study / RESULTS, uri, "demo").created == 0
