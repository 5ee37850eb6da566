"""Command `cluster`, which checks a study's resource requests against SLURM."""

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from folk.cli.read import StudyFile
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import load_study
from folk.slurm.ask import Ask, ask_of, submitted_stages
from folk.slurm.check import site_problems
from folk.slurm.duration import spell_minutes
from folk.slurm.queues import ask_slurm, refusal
from folk.slurm.site import SITE_FILE, Site, load_site
from folk.stages.table import STAGES


def cluster(study: StudyFile = Path("config/demo.yaml")) -> None:
    """Check that your SLURM site can run a study.

    Prints the resources that each stage requests by config/cluster.yaml; submits nothing. Status 2
    if a job could not run. Snakemake checks the same before it submits its first job.
    """
    named = load_study(study, STAGES)
    file = load_site()
    asks = [ask_of(named, stage) for stage in submitted_stages(named)]
    problems = site_problems(file, asks, ask_slurm())
    Console(highlight=False, markup=False).print(_table(file.site, asks, judged=not problems))
    if problems:
        raise InputError("\n".join(["this cluster cannot run the study:", *problems]))
    if file.document is None:
        typer.echo(f"{SITE_FILE}: no such file; using SLURM's defaults.")


def _table(site: Site, asks: list[Ask], judged: bool) -> Table:
    """Make a row for each stage; `judged` tests each with SLURM."""
    table = Table("stage", "account", "partition", "nodes", "each with", "time", "SLURM's answer")
    for ask in asks:
        queue = site.queue(ask)
        table.add_row(
            ask.stage,
            site.account or "default",
            queue.partition or "default",
            str(ask.nodes),
            ask.of_each_node,
            spell_minutes(site.runtime(ask)),
            (refusal(site, ask) or "would take it") if judged else "not asked",
        )
    return table
