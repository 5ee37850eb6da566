"""Command `plan`, which estimates the cost of snakemake's job graph."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.read import PublishedFile, Results, StudyFile
from folk.evidence.core.errors import InputError
from folk.evidence.core.shipped import shipped
from folk.evidence.core.yaml_model import Document
from folk.evidence.plan.graph import longest_chain, read_graph
from folk.evidence.plan.jobs import WATTS_PER_GPU, Plan
from folk.evidence.plan.measured import read_ledger
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES


def plan(
    study: StudyFile = Path("config/demo.yaml"),
    results: Results = Path("results"),
    max_gpu_hours: Annotated[
        float | None,
        typer.Option(min=0.0, help="end with status 2 if the remaining jobs may take more"),
    ] = None,
    watts: Annotated[
        float,
        typer.Option(
            min=0.0, help="assumed watts of a busy GPU; the default is the limit of an A100 SXM"
        ),
    ] = WATTS_PER_GPU,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
    power: Annotated[
        bool, typer.Option("--power", help="print how likely each verdict is to be conclusive")
    ] = False,
    sd: Annotated[
        float | None,
        typer.Option(
            min=1e-9,
            help="with --power: deviation over seeds of one full fine-tuning, in points; other"
            " kinds in proportion",
            show_default="published",
        ),
    ] = None,
    sd_pretrain: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="with --power: the part of it that comes from pre-training",
            show_default="half of the variance",
        ),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=100, help="with --power: simulated studies for each chance")
    ] = 10_000,
    published: PublishedFile = Path("config/published"),
) -> None:
    """Estimate jobs, GPU-hours, disk and energy of a study.

    Runs nothing. Hours come from finished jobs that did the same work on the same kind of device;
    without any, from an upper bound, the runtime that the study requests. --power estimates how
    likely each verdict is.
    """
    from folk.cli.fits import Fits
    from folk.cli.planned_jobs import Planner
    from folk.evidence.plan.tables import plan_tables
    from folk.stages.recipes.named import recipes_of

    if not power and (sd is not None or sd_pretrain is not None):
        raise InputError("--sd, --sd-pretrain: need --power; add it")
    named = load_study(study, STAGES)
    recipes = recipes_of(named, study)
    planner = Planner(named, recipes, read_ledger(results))
    if power:
        from folk.cli.power import power_of
        from folk.evidence.plan.power_tables import power_tables

        chances = power_of(
            named, planner, published, deviation=sd, of_pretraining=sd_pretrain, trials=trials
        )
        if as_json:
            print(json.dumps(chances.to_json(), indent=2))
        else:
            Console(highlight=False, markup=False).print(power_tables(chances))
        return
    nodes = read_graph(_drawn_by_snakemake(study))
    fits = Fits(named, Document(study), named.recipe_folder(study), recipes)
    fits.check(filter(None, (planner.fit_of(node) for node in nodes.values() if node.needed)))
    jobs = {
        number: planner.job(node)
        for number, node in nodes.items()
        if node.rule != "all"  # the target alone: it does nothing
    }
    hours = {number: job.hours.value for number, job in jobs.items()}
    to_do = {number: taken for number, taken in hours.items() if jobs[number].needed}
    found = Plan(
        study=named.name,
        jobs=list(jobs.values()),
        chain=[jobs[number] for number in longest_chain(nodes, to_do)],
        whole_chain=[jobs[number] for number in longest_chain(nodes, hours)],
        watts=watts,
    )
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        console = Console(highlight=False, markup=False)
        console.print(plan_tables(found))
        for name, rows in named.grids.items():
            console.print(f"Grid '{name}' makes {len(rows)} rows: {', '.join(rows)}")
    asked = found.to_do().gpu_hours
    if max_gpu_hours is not None and asked.value > max_gpu_hours:
        raise InputError(
            f"{study}: {asked} GPU-hours are still to be done, more than --max-gpu-hours"
            f" {max_gpu_hours:g}; take out rows or seeds, lower 'resources', or raise the limit"
        )


def _drawn_by_snakemake(study: Path) -> str:
    """Return snakemake's current graph, done jobs dashed; it locks and writes nothing."""
    # A profile of the user's may name a cluster; drawing needs none.
    quiet = {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"}
    snakefile = ["--snakefile", str(shipped(Path("Snakefile")))]
    command = [sys.executable, "-m", "snakemake", *snakefile, "--dag", "--configfile", str(study)]
    done = subprocess.run(command, capture_output=True, text=True, env=quiet, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()[-20:]
        raise InputError("\n".join([f"{study}: snakemake --dag ended in an error:", *lines]))
    return done.stdout
