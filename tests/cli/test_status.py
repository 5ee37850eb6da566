"""`status` tells from the files alone what of a study is finished, runs, waits or failed."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from folk.cli import status
from folk.slurm.ledger import LEDGER, Ledger, Submission
from tests import toy

STUDY = {
    "study": "demo", "title": "x", "scale": "demo",
    "data": {"scenes": {"recipe": "demo"}},
    "encoders": {"folk": {"label": "F", "recipe": "demo-folk", "data": "scenes", "seeds": [0, 1]}},
    "evaluations": {"full": {"stage": "finetune", "recipe": "demo-full", "data": "scenes"}},
    "resources": {"pretrain": {"threads": 2, "runtime": 60}, "finetune": {"runtime": 30}},
}  # fmt: skip
RECIPE = {"optim": {"epochs": 10, "batch": 64}}
WORK = toy.RESULTS / "work/pretrain/folk-s0"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with a study whose data set is prepared."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/recipes").symlink_to(Path("config/recipes").absolute())
    (tmp_path / "config/demo.yaml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.chdir(tmp_path)
    toy.do("prepare", "scenes", {"dataset.json": "{}"})


def shown(*arguments):
    done = toy.folk("status", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def states():
    found = json.loads(shown("--json"))
    return {
        " ".join(filter(None, (job["stage"], job["run"], job["evaluation"]))): job
        for job in found["jobs"]
    }, found


@contextmanager
def pretraining():
    """A job that is at work inside the block, and stopped at its end."""
    with suppress(KeyboardInterrupt), toy.opened("pretrain", "folk-s0", recipe=RECIPE):
        yield
        raise KeyboardInterrupt


def log_updates(number, seconds_each=2.0, age=0.0):
    """A history of 100 updates an epoch, the last one so many seconds ago."""
    last = time.time() - age
    lines = [
        {
            "step": step, "epoch": step / 100, "time": last - (number - step) * seconds_each,
            "loss": 3.0 - step / 1000, "updates_per_second": 0.5,
        }
        for step in range(number - 100, number + 1, 10)
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (WORK / "metrics.jsonl").write_text(text + '{"step": 12')


def pretend_start(seconds_ago, **more):
    started = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - seconds_ago))
    toy.edit(WORK / "record.open.json", lambda r: r.update(started=started, **more))


@pytest.mark.usefixtures("study")
def test_a_job_with_a_record_is_finished_and_one_without_a_trace_waits():
    found, whole = states()

    assert {name: job["state"] for name, job in found.items()} == {
        "prepare scenes": "finished",
        "pretrain folk-s0": "waiting",
        "pretrain folk-s1": "waiting",
        "finetune folk-s0 full": "waiting",
        "finetune folk-s1 full": "waiting",
        "report": "waiting",
    }
    # Two pre-trainings of an hour on two threads, two fine-tunings of half an hour on one.
    assert whole["core_hours"]["to_come"]["value"] == pytest.approx(2 * 2 * 1.0 + 2 * 0.5)
    assert whole["gpu_hours"] == {"spent": 0, "to_come": {"value": 0.0, "from": {}}}
    assert whole["hours_left"] is None


@pytest.mark.usefixtures("study")
def test_a_running_training_shows_its_progress_and_the_time_that_is_left():
    with pretraining():
        log_updates(250, age=10.0)
        pretend_start(3600)
        found, whole = states()
        text = shown()

    job = found["pretrain folk-s0"]
    assert job["state"] == "running"
    assert job["seconds"] == pytest.approx(3600, abs=30)
    training = job["training"]
    assert (training["step"], training["share"]) == (250, 0.25)
    assert training["loss"] == pytest.approx(2.75)
    assert training["images_per_second"] == pytest.approx(32.0)
    assert training["seconds_left"] == pytest.approx(750 * 2.0 - 10.0, abs=30)
    # The rest of this one, an hour for the other, and half an hour twice, one after the other.
    assert whole["hours_left"]["value"] == pytest.approx(1490 / 3600 + 1.0 + 2 * 0.5, abs=0.02)
    assert "1 finished, 1 running, 4 waiting" in text
    assert "25%" in text


@pytest.mark.usefixtures("study")
def test_a_job_whose_process_is_gone_is_interrupted():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pretraining():
        kept = (WORK / "record.open.json").read_text()
    (WORK / "record.open.json").write_text(kept)
    toy.edit(WORK / "record.open.json", lambda record: record.update(pid=gone.pid))
    log_updates(500)

    found, whole = states()

    assert found["pretrain folk-s0"]["state"] == "interrupted"
    assert found["pretrain folk-s0"]["why"] == "its process is gone and left no record"
    # Half of it is done.
    assert whole["core_hours"]["to_come"]["value"] == pytest.approx(2 * 0.5 + 2 * 1.0 + 2 * 0.5)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(("age", "state"), [(60, "running"), (7200, "interrupted")])
def test_a_job_of_another_machine_lives_while_it_writes(age, state, monkeypatch):
    with pretraining():
        elsewhere = json.loads((WORK / "record.open.json").read_text())["hardware"]
        pretend_start(9000, hardware=elsewhere | {"host": "elsewhere"})
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + age)
        found, _ = states()

    assert found["pretrain folk-s0"]["state"] == state


@pytest.mark.usefixtures("study")
def test_the_ledger_tells_which_slurm_jobs_live_and_which_wait_in_the_queue():
    def submission(job, run):
        outputs = {f"results/demo/pretrain/{run}/record.json": "x"}
        return Submission(
            job=job, name="n", rule="pretrain", wildcards=f"run={run}", outputs=outputs,
            log="x.log", work=None, step=0, submitted="2026-01-01T00:00:00+00:00",
        )  # fmt: skip

    ledger = Ledger(LEDGER)
    for job, run in (("17", "folk-s0"), ("18", "folk-s1")):
        ledger.open(submission(job, run))
    with pretraining():
        elsewhere = json.loads((WORK / "record.open.json").read_text())["hardware"]
        pretend_start(9000, hardware=elsewhere | {"host": "n1"}, scheduler={"job_id": "17"})
        before, _ = states()
        ledger.close(submission("17", "folk-s0"), "NODE_FAIL")
        after, _ = states()

    assert before["pretrain folk-s0"]["state"] == "running"
    assert before["pretrain folk-s0"]["slurm_job"] == "17"
    assert after["pretrain folk-s0"]["state"] == "interrupted"
    assert before["pretrain folk-s1"]["state"] == "waiting"
    assert before["pretrain folk-s1"]["queued"]
    assert not before["finetune folk-s0 full"]["queued"]


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("work_is_left", [True, False])
def test_a_failed_job_shows_why_and_the_end_of_its_log(work_is_left):
    log = toy.RESULTS / "pretrain/folk-s0/pretrain.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(30)) + "error: no space\n")
    with pytest.raises(RuntimeError), toy.opened("pretrain", "folk-s0", recipe=RECIPE):
        raise RuntimeError("no space")
    if not work_is_left:
        for path in WORK.iterdir():
            path.unlink()

    found, _ = states()
    text = shown()

    job = found["pretrain folk-s0"]
    assert job["state"] == "failed"
    assert "no space" in job["why"]
    assert job["lines"] == [*(f"line {number}" for number in range(26, 30)), "error: no space"]
    assert "pretrain folk-s0: failed" in text
    assert "line 26" in text
    assert "line 25" not in text


def finish_all():
    for run in ("folk-s0", "folk-s1"):
        toy.do("pretrain", run, {"encoder.safetensors": "x"})
        toy.do("finetune", run, {"predictions.parquet": "x"}, evaluation="full")
    with toy.opened("report", None, work=toy.RESULTS / "work/report") as record:
        record.finish({}, {}, toy.RESULTS / "report/record.json")


@pytest.mark.usefixtures("study")
def test_watch_looks_again_until_all_is_finished(monkeypatch):
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            finish_all()

    monkeypatch.setattr(status, "time", SimpleNamespace(sleep=wait, time=time.time))

    text = shown("--watch")

    assert len(waits) == 2
    assert "6 finished" in text


@pytest.mark.usefixtures("study")
def test_watch_ends_with_ctrl_c_without_a_traceback(monkeypatch):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "time", SimpleNamespace(sleep=interrupt, time=time.time))

    done = toy.folk("status", "--watch")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("study")
def test_watch_and_json_exclude_each_other():
    done = toy.folk("status", "--watch", "--json")

    assert done.returncode == 2
    assert "leave out --json" in done.stderr


@pytest.mark.usefixtures("study")
def test_status_needs_no_torch():
    code = (
        "import sys; sys.argv = ['folk', 'status', '--json']\n"
        "from folk.cli.app import app\n"
        "app(standalone_mode=False); assert 'torch' not in sys.modules"
    )
    root = Path(status.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
