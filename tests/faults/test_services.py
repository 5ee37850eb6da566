"""MLflow servers that are silent or broken: no job fails or waits for long because of them."""

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from folk.evidence.adapters import mlflow_mirror as tracking
from folk.evidence.adapters.mlflow_mirror import LONGEST_REASON, LiveMirror, sync_study
from tests.faults.table import fault


@contextmanager
def answering(status: int, kind: str, said: bytes) -> Iterator[str]:
    """The address, with a password, of a server that gives one answer to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET  # noqa: N815 - the library's spelling

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://somebody:s3cr3t@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def one_short_trial(monkeypatch):
    import mlflow  # noqa: F401 - else its import is what takes time

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


PAGE = b"<html>Please log in \x1b[2J" + b"x" * 100_000 + b"</html>"


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        pytest.param(500, "text/plain", b"no", marks=fault(
            "Services", "an MLflow server that answers with errors, or with pages for people",
            "one line in the log; the job goes on", lost="the live curve")),
        (404, "application/json", b"{}"),
        (401, "text/plain", b""),
        (302, "text/plain", b""),
        (200, "text/html", PAGE),
    ],
    ids=range(5),
)  # fmt: skip
def test_a_broken_server_costs_a_line_in_which_no_password_stands(capfd, status, kind, said):
    with (
        answering(status, kind, said) as uri,
        LiveMirror(uri, "demo", "pretrain/folk-s0") as mirror,
    ):
        mirror.log(1, {"loss": 1.0})

    out, line = capfd.readouterr()
    assert out == ""
    assert line.count("\n") == line.count("no live curves") == 1
    assert "s3cr3t" not in line
    assert len(line) < LONGEST_REASON + 200
    assert line.strip().isprintable()


def test_a_replay_to_a_broken_server_reports_a_failure_and_no_password(tmp_path):
    with answering(200, "text/html", PAGE) as uri:
        done = sync_study(tmp_path, uri, "demo")

    assert done.error
    assert done.created == 0
    assert "s3cr3t" not in f"{done}{vars(done)}"
    assert str(done).count("\n") == 1


@fault("Services", "an MLflow server that takes connections and never answers",
       "the job waits ten seconds at most, and says so", lost="the live curve")  # fmt: skip
def test_a_silent_server_does_not_hold_up_a_job(capsys):
    with silent() as uri:
        start = time.perf_counter()
        with LiveMirror(uri, "demo", "pretrain/folk-s0") as mirror:
            for step in range(20_000):
                mirror.log(step, {"loss": 1.0})
        assert time.perf_counter() - start < 10

    assert capsys.readouterr().err.count("no live curves") == 1


def test_a_job_asks_once_and_waits_ten_seconds_at_most(monkeypatch):
    for name in ("MAX_RETRIES", "TIMEOUT"):
        monkeypatch.delenv(f"MLFLOW_HTTP_REQUEST_{name}")
    monkeypatch.setattr(tracking, "_client", lambda _uri: None)
    with LiveMirror("http://127.0.0.1:9", "demo", "pretrain/folk-s0"):
        asked = {
            name: os.environ[f"MLFLOW_HTTP_REQUEST_{name}"] for name in ("MAX_RETRIES", "TIMEOUT")
        }

    assert asked == {"MAX_RETRIES": "0", "TIMEOUT": "10"}


def test_a_replay_to_a_silent_server_gives_up(tmp_path):
    with silent() as uri:
        done = sync_study(tmp_path, uri, "demo")

    assert "timed out" in done.error


def test_a_server_is_asked_for_seconds_and_not_for_minutes(monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    from mlflow.environment_variables import (
        MLFLOW_HTTP_REQUEST_MAX_RETRIES,
        MLFLOW_HTTP_REQUEST_TIMEOUT,
    )

    tracking._client("http://127.0.0.1:9")

    assert MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() * MLFLOW_HTTP_REQUEST_TIMEOUT.get() <= 60
