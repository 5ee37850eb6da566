"""`snakemake -n` on finished studies, over what snakemake needs to start at all."""

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from folk.evidence.core.yaml_model import Document
from tests.bench.measure import Row, cpu_seconds, in_turns

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "folk", "config", "requirements.lock")
RUNS = (10, 100, 1000)
JOBS = 3  # of a run
SEEDS = 5
ROUNDS = 3
# The executor that only touches files waits a tenth of a second at each job.
TOUCH = """
import types
from snakemake.executors import touch
touch.time = types.SimpleNamespace(sleep=lambda seconds: None)
from snakemake.cli import main
main()
"""


def rows() -> list[Row]:
    """CPU seconds above an empty workflow; each run has a pre-training and two measurements."""
    with tempfile.TemporaryDirectory(prefix="folk-bench-") as name:
        folder = Path(name)
        empty = folder / "empty.smk"
        empty.write_text("rule all:\n")
        return [_row(runs, _finished(folder / str(runs), runs), empty) for runs in RUNS]


def _row(runs: int, study: Path, empty: Path) -> Row:
    def planned() -> None:
        assert "Nothing to be done" in _snakemake(study, "-n")

    def bare() -> None:
        _snakemake(study, "-n", "--snakefile", str(empty))

    ours, baseline = in_turns(cpu_seconds(planned), cpu_seconds(bare), ROUNDS)
    above = [mine - other for mine, other in zip(ours, baseline, strict=True)]
    each = statistics.median(above) / (JOBS * runs)
    note = f"CPU time above snakemake's own start; {1000 * each:.1f} ms a job"
    reach = 15.0 if runs == max(RUNS) else None
    return Row(f"snakemake -n, {runs} finished runs", "", "s", above, reach=reach, note=note)


def _finished(folder: Path, runs: int) -> Path:
    """A study whose results are empty files that snakemake knows as its own."""
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / part)
    rows = [f"r{row}" for row in range(runs // SEEDS)]
    encoders = "\n".join(
        f"  {row}: {{label: {row}, recipe: demo-mfm, data: scenes, seeds: {list(range(SEEDS))}}}"
        for row in rows
    )
    (folder / "config/many.yaml").write_text(f"""
study: many
title: Many runs
scale: demo
data: {{scenes: {{recipe: demo}}}}
encoders:
{encoders}
evaluations:
  full: {{stage: finetune, recipe: demo-full, data: scenes}}
  frozen: {{stage: probe, recipe: demo, data: scenes}}
tables:
  main:
    title: Main
    rows: [{", ".join(rows)}]
    columns: {{full: {{label: full, evaluation: full, metric: top1_last}}}}
""")
    Document(folder / "config/many.yaml")  # which says what is wrong with it
    for line in _snakemake(folder, "--summary").splitlines():
        path = folder / line.split("\t")[0]
        if line.startswith("results/"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir(exist_ok=True)
    command = [sys.executable, "-c", TOUCH, *_options(), "--forceall", "--touch"]
    # Its last step seals the study, which finds no records; what counts is asked of `-n`.
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return folder


def _options() -> list[str]:
    return ["--configfile", "config/many.yaml", "--cores", "8"]


def _snakemake(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", *_options(), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr + done.stdout)
    return done.stdout + done.stderr
