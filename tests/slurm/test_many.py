"""A hundred short jobs at once: no record is lost, and MLflow and DVC stand beside the driver."""

import re
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from folk.evidence.record.schema import read_record
from tests.slurm.driver import MINUTES, start_driver
from tests.slurm.lab import Lab
from tests.toy import git
from tests.workflow.conftest import ROOT, Copy, copy_repository

JOBS = 100
LIMIT = 40 * MINUTES
OF_DVC = ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")


def few_images(extra: int) -> dict:
    """A data set of its own, made in a moment."""
    sizes = {"num_train": 20, "num_val": 10, "num_unlabeled": 4 + extra}
    return {"recipe": "demo", "set": {f"scenes.{name}": size for name, size in sizes.items()}}


def many_jobs(folder: Path) -> Copy:
    """A repository with a study of a hundred small sets of images, each of which is a job."""
    copy = copy_repository(folder)
    tiny = yaml.safe_load((folder / "config/tiny.yaml").read_text(encoding="utf-8"))
    study = {key: tiny[key] for key in ("title", "scale")} | {
        "study": "many",
        "resources": {"prepare": {"mem_mb": 500, "runtime": 10}},
        "data": {f"scenes-{n}": few_images(n) for n in range(JOBS)} | tiny["data"],
        "encoders": {"scratch": tiny["encoders"]["scratch"]},
        "evaluations": {"few": tiny["evaluations"]["full"]},
        "tables": {
            "main": {
                "title": "One number",
                "rows": ["scratch"],
                "columns": {"few": {"label": "few", "evaluation": "few", "metric": "top1_last"}},
            }
        },
    }
    (folder / "config/many.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    for name in OF_DVC:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    stages = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    (folder / "dvc.yaml").write_text(stages.replace("study: [demo]", "study: [many]"))
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "code"]):
        git(*command, folder=folder)
    return copy


def peak_memory_mb(pid: int) -> float:
    """The most memory a process has held so far, its children left out; 0 when it has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else 0.0


@pytest.mark.long
@pytest.mark.timeout(LIMIT + 5 * MINUTES)
def test_a_hundred_jobs_at_once_lose_nothing(lab: Lab, tmp_path, capsys):
    copy = many_jobs(tmp_path)
    began, memory, in_flight = time.monotonic(), 0.0, 0

    study = ("--configfile", "config/many.yaml")
    driver = start_driver(lab, copy.folder, *study, DVC_NO_ANALYTICS="true")
    try:
        while driver.poll() is None and time.monotonic() < began + LIMIT:
            memory = max(memory, peak_memory_mb(driver.pid))
            in_flight = max(in_flight, len(lab.jobs("PENDING", "RUNNING")))
            time.sleep(0.5)
    finally:
        driver.kill()
        driver.wait()
    seconds = time.monotonic() - began

    said = (copy.folder / "driver.log").read_text(encoding="utf-8")
    assert driver.returncode == 0, said[-6000:]
    assert in_flight == JOBS
    results = copy.folder / "results/many"
    records = [read_record(path) for path in results.glob("prepare/scenes-*/record.json")]
    assert Counter(record["outcome"] for record in records) == {"finished": JOBS}
    assert len({record["scheduler"]["job_id"] for record in records}) == JOBS
    assert said.count("has been submitted with SLURM jobid") == JOBS + 3
    assert not list(results.glob("failed/**/*.json"))
    assert f'"created": {JOBS + 3}' in (results / "tracked.json").read_text()
    assert (copy.folder / "dvc.lock").is_file(), said[-3000:]
    done = copy.run("-m", "snakemake", "--cores", "2", "-n", *study)
    assert "Nothing to be done" in done.stdout, done.stdout + done.stderr
    with capsys.disabled():
        print(f"\n{JOBS} jobs in flight: {seconds:.0f} s, driver's peak memory {memory:.0f} MB")
