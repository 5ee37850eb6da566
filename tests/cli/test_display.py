"""`snakemake --logger folk`: a block that changes, a summary, and plain lines elsewhere."""

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml
from rich.console import Console

from folk.cli.display import Display, Job, ToGo, time_to_go
from folk.evidence.audit.status import JobStatus, Training
from tests import toy
from tests.cli.test_status import STUDY, log_updates, pretend_start, pretraining

ROOT = Path(__file__).parents[2]
SNAKEFILE = """\
rule all:
    input: expand("results/toy/finetune/folk-s{n}/full/done", n=range(4))

rule finetune:
    output: "results/toy/finetune/{run}/full/done"
    log: "results/toy/finetune/{run}/full/finetune.log"
    message: "Fine-tuning {wildcards.run}: full"
    shell: "(echo at work; CODE {wildcards.run}; touch {output}) > {log} 2>&1"
"""
FAILS = "f() {{ if [ $1 = folk-s2 ]; then echo no luck; exit 3; fi; }}; f"
LOG = "results/toy/finetune/folk-s2/full/finetune.log"
PATIENCE = 300.0  # seconds


def command(folder: Path, code: str, *options: str) -> list[str]:
    (folder / "Snakefile").write_text(SNAKEFILE.replace("CODE", code))
    options = ("--cores", "2", "--keep-going", "--logger", "folk", *options)
    return [sys.executable, "-m", "snakemake", *options]


def environment() -> dict[str, str]:
    """Of a user who has installed the project, in no special terminal."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "folk/cli/plugin")])
    return os.environ | {"PYTHONPATH": path, "TERM": "xterm"}


def plain(folder: Path, code: str, *options: str) -> "subprocess.CompletedProcess[str]":
    words = command(folder, code, *options)
    return subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def on_terminal(
    folder: Path, code: str, at_work: Callable[["subprocess.Popen[bytes]"], object]
) -> tuple[int, str]:
    """Run on a terminal of 24 lines; `at_work` is called once when it shows jobs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        command(folder, code), cwd=folder, env=environment(), start_new_session=True,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown, is_called = "", False
    while part := _read(ours):
        shown += part
        if not is_called and "Fine-tuning" in shown:
            at_work(process)
            is_called = True
    os.close(ours)
    return process.wait(PATIENCE), shown


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:
        return ""  # the last process has closed it


def left_on_screen(shown: str) -> list[str]:
    """The lines that follow the last erased one."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.rpartition("\x1b[2K")[2])
    return [line for line in text.replace("\r", "").splitlines() if line]


def test_without_a_terminal_each_finished_job_is_one_line_and_a_failed_one_shows_its_log(tmp_path):
    done = plain(tmp_path, FAILS)

    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    finished = [
        line for line in lines if re.fullmatch(r"\d/4 Fine-tuning .+: full, \d+:\d\d", line)
    ]
    assert [line[:3] for line in finished] == ["1/4", "2/4", "3/4"]
    at = lines.index("failed: Fine-tuning folk-s2: full")
    assert lines[at + 1 : at + 4] == [f"  {LOG}", "    at work", "    no luck"]
    end = lines[-3:]
    assert re.fullmatch(r"toy: 1 failed, 3 of 4 jobs done in .+ goes on from here\.", end[0])
    assert end[1] == f"  failed: Fine-tuning folk-s2: full, {LOG}"
    log = tmp_path / end[2].removeprefix("  log: ")
    assert "Error in rule finetune" in log.read_text()
    assert len(lines) == 3 + 4 + 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", done.stderr)


def test_a_terminal_shows_one_block_and_at_last_the_summary_and_a_second_call_has_nothing_to_do(
    tmp_path,
):
    waits = "until test -e go; do sleep 0.1; done; true"
    status, shown = on_terminal(tmp_path, waits, lambda _: (tmp_path / "go").touch())

    assert status == 0
    assert "0 of 4 jobs" in shown
    summary, log = left_on_screen(shown)
    assert re.fullmatch(r"toy: 4 of 4 jobs done in \d+:\d\d\.", summary)
    assert log.startswith("  log: .snakemake/log/")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is hidden"

    again = plain(tmp_path, waits)
    assert again.returncode == 0
    assert again.stderr.startswith("Nothing to be done")
    assert len(again.stderr.splitlines()) == 1


def test_ctrl_c_stops_the_jobs_and_is_no_failure_of_theirs(tmp_path, hears_ctrl_c):
    def press_ctrl_c(process: "subprocess.Popen[bytes]") -> None:
        os.killpg(process.pid, signal.SIGINT)

    status, shown = on_terminal(tmp_path, "sleep 3000; true", press_ctrl_c)

    assert status == 1
    assert "Stopping the running jobs" in shown
    assert "failed" not in shown
    summary = left_on_screen(shown)[0]
    assert re.fullmatch(r"toy: stopped by you, 0 of 4 jobs done in .+ goes on from here\.", summary)


def test_a_dry_run_prints_what_snakemake_prints(tmp_path):
    done = plain(tmp_path, "true", "-n")

    assert done.returncode == 0
    assert "Job stats:" in done.stdout
    assert done.stdout.count("Fine-tuning") == 4


def test_the_block_shows_how_far_a_training_is(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/recipes").symlink_to(ROOT / "config/recipes")
    monkeypatch.chdir(tmp_path)
    toy.do("prepare", "scenes", {"dataset.json": "{}"})
    values = STUDY | {"recipes": "config/recipes"}
    (toy.RESULTS / "study.yaml").write_text(yaml.safe_dump(values))
    now = time.time()
    display = Display(Counter(pretrain=2, finetune=2), now - 100, is_terminal=False)
    log = toy.RESULTS / "pretrain/folk-s0/pretrain.log"
    display.start(1, Job("Pre-training folk-s0", "pretrain", log, now - 100))
    screen = Console(file=io.StringIO(), width=80)
    with pretraining():
        log_updates(250)
        pretend_start(100)
        screen.print(display._block())

    head, job = screen.file.getvalue().splitlines()
    assert re.search(r"^demo .* 0 of 4 jobs +1:40 +at least 5\d min to go *$", head)
    assert re.search(r"^  Pre-training folk-s0 +1:40 +25%, loss 2.75, 2[45]:\d\d to go *$", job)


def job(
    stage: str, run: str, state: str, seconds: float = 0.0, left: float | None = None
) -> JobStatus:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1000.0 - seconds))
    record = {
        "seconds": seconds, "started": started, "restarts": [], "argv": [],
        "environment": {"variables": {}}, "hardware": {"gpus": []},
    }  # fmt: skip
    training = None if left is None else Training(1, 0.5, 1.0, 1.0, left)
    return JobStatus(stage, run, None, Path(stage, run), (), state, record, 0.0, None, training)


def test_the_time_to_go_is_that_of_jobs_of_the_same_row_at_as_many_at_once():
    jobs = [
        job("pretrain", "a-s0", "finished", 100.0),
        job("pretrain", "b-s0", "finished", 20.0),
        job("pretrain", "a-s1", "waiting"),
        job("pretrain", "b-s1", "running", 5.0),
        job("report", "", "waiting"),
    ]
    left = Counter(pretrain=2, report=1, track=1)

    assert time_to_go(left, jobs, 1, 1000.0) == ToGo(115.0, True)
    # One job is as long as it is, however many run at once.
    assert time_to_go(left, jobs, 2, 1000.0) == ToGo(100.0, True)


def test_a_running_training_tells_what_those_that_wait_will_take():
    jobs = [job("pretrain", "a-s0", "running", 30.0, left=50.0), job("pretrain", "b-s0", "waiting")]

    assert time_to_go(Counter(pretrain=2), jobs, 1, 1000.0) == ToGo(50.0 + 80.0, True)


def test_a_stage_that_was_never_measured_makes_the_time_to_go_a_lower_bound():
    jobs = [job("pretrain", "a-s0", "running", 30.0, left=50.0), job("probe", "a-s0", "waiting")]

    assert time_to_go(Counter(pretrain=1, probe=1), jobs, 1, 1000.0) == ToGo(50.0, False)
    assert time_to_go(Counter(probe=1), jobs, 1, 1000.0) is None
    assert str(ToGo(50.0, False)) == "at least 1 min to go"
    assert str(ToGo(3725.0, True)) == "about 1 h 02 min to go"


def test_finished_jobs_that_are_made_again_count():
    jobs = [job("pretrain", f"a-s{seed}", "finished", 60.0) for seed in range(3)]

    assert time_to_go(Counter(pretrain=3), jobs, 1, 1000.0) == ToGo(180.0, True)
