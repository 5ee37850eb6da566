"""A workflow of one training that sleeps: what a driver does, without torch, in seconds."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.slurm.driver import run_driver, start_driver
from tests.slurm.lab import Lab, wait_until

REPOSITORY = Path(__file__).parents[2]
SNAKEFILE = """
import sys
from folk.slurm.study_lock import describe_lock, hold_study
from pathlib import Path

if workflow.is_main_process:
    for line in describe_lock():
        print(line, file=sys.stderr)


onstart:
    hold_study("small")


VALUES = Path("values").read_text()


rule all:
    default_target: True
    input: expand("results/{run}/out", run=Path("runs").read_text().split())

localrules: all

rule train:
    output: "results/{run}/out"
    params:
        values=VALUES,
        work="work/{run}",
    resources:
        mem_mb=400,
        runtime=5,
    shell: "python3 train.py {params.work} {output}"
"""
# Adds one to its progress in every tick, and saves it, as a training does. Where the file `stop`
# stands, it stops by plan: status 75, and an open record that says so.
TRAIN = """
import json, os, sys, time
from pathlib import Path
work, out = Path(sys.argv[1]), Path(sys.argv[2])
work.mkdir(parents=True, exist_ok=True)
progress = work / "progress.json"


def plan(key):
    return json.loads(Path("plan").read_text())[key]


step = json.loads(progress.read_text())["step"] if progress.exists() else 0
with (work / "starts").open("a") as file:
    file.write(f"{os.environ['SLURM_JOB_ID']} {step}\\n")
while step < plan("ticks"):
    time.sleep(0.25)
    step += 1
    if plan("saves"):
        temp = work / "aside"
        temp.write_text(json.dumps({"step": step}))
        temp.replace(progress)
    if Path("stop").exists() and step >= 4:
        Path("stop").unlink()
        (work / "record.open.json").write_text('{"outcome": "interrupted"}')
        sys.exit(75)
out.write_text(f"{step}\\n")
"""


class SmallWorkflow:
    """The folder of one workflow, and its driver.

    Args:
        folder: where everything lies.
        ticks: quarters of a second that a training takes.
        saves: whether it keeps what it has reached.
        runs: names of the trainings.
    """

    def __init__(
        self, lab: Lab, folder: Path, ticks: int, saves: bool = True, runs: tuple[str, ...] = ("a",)
    ) -> None:
        self.lab, self.folder, self.runs = lab, folder, runs
        shutil.copytree(REPOSITORY / "workflow/profiles/slurm", folder / "workflow/profiles/slurm")
        self.write("Snakefile", SNAKEFILE)
        self.write("train.py", TRAIN)
        self.write("values", "first")
        self.write("runs", " ".join(runs))
        self.plan(ticks, saves)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def plan(self, ticks: int, saves: bool = True) -> None:
        """How long the trainings shall be, also those that run."""
        self.write("aside", json.dumps({"ticks": ticks, "saves": saves}))
        (self.folder / "aside").replace(self.folder / "plan")

    def run(self, *arguments: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Drive it to the end."""
        return run_driver(
            self.lab, self.folder, *arguments, seconds=seconds, PYTHONPATH=str(REPOSITORY)
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a driver and leave it alone."""
        return start_driver(self.lab, self.folder, *arguments, PYTHONPATH=str(REPOSITORY))

    @property
    def said(self) -> str:
        """What all drivers have said."""
        return (self.folder / "driver.log").read_text(encoding="utf-8")

    def submitted(self) -> list[str]:
        """SLURM ids of all jobs of this folder, in order, also of those that never started."""
        lines = self.lab.run("squeue", "-h", "--states=all", "-o", "%i|%Z").splitlines()
        ids = [line.split("|")[0] for line in lines if line.endswith(f"|{self.folder}")]
        return sorted(ids, key=int)

    def starts(self, run: str = "a") -> list[str]:
        """`JOB STEP` of each start of a training."""
        path = self.folder / f"work/{run}/starts"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def wait_for_start(self, count: int = 1, run: str = "a") -> str:
        """Wait until a training has started so many times; the job of the last start."""
        wait_until(f"start {count} of {run}", lambda: len(self.starts(run)) >= count, 120)
        return self.starts(run)[-1].split()[0]

    def step(self, run: str = "a") -> int:
        """How far a training has got by its own account."""
        path = self.folder / f"work/{run}/progress.json"
        return int(path.read_text().split(":")[1].rstrip("} \n")) if path.exists() else 0

    def wait_for_step(self, step: int, run: str = "a") -> None:
        wait_until(f"{run} to save", lambda: self.step(run) >= step, 60)
