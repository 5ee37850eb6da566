"""
One call, one study: images in, tables out.

    snakemake                                     the demo
    snakemake --configfile config/X.yaml          another study
    snakemake --configfile config/X.yaml more.yaml --config title=Mine     with overrides
    snakemake --workflow-profile slurm            on a cluster

Where the results are:

    results/{study}/study.yaml                         the study as it ran: files and --config merged
    results/{study}/prepare/{data}/                    shards, manifest.parquet, dataset.json
    results/{study}/split/{split}/                     keys.parquet
    results/{study}/pretrain/{run}/                    encoder.safetensors; a run is ROW-sSEED
    results/{study}/finetune/{run}/{evaluation}/       predictions.parquet, metrics.json, classifier
    results/{study}/probe/{run}/{evaluation}/          predictions-*.parquet, metrics.json, on frozen features
    results/{study}/segment/{run}/{evaluation}/        the same, pixel by pixel
    results/{study}/robustness/{run}/{evaluation}/     predictions-variants.parquet, metrics.json
    results/{study}/cost/{run}/{evaluation}/           cost.json, metrics.json
    results/{study}/report.html, tables/, figures/, cells.parquet, claims.parquet, assumptions.md
    results/{study}/report/, track/                    records of the report and of the copy to MLflow
    results/{study}/seal.json                          one digest of all records, for git
    results/{study}/failed/                            records of jobs that did not finish
    results/{study}/attestations/                      signed by others who ran a cell again; no rule reads them

Each folder of a job also has record.json (the evidence), recipe.yaml (all values), a log and a benchmark.
"""

import sys

from folk.cli.workflow import get_default
from snakemake.utils import min_version

min_version("9.20")

# config/demo.yaml, unless a --configfile names another study.
default_study = get_default(workflow.overwrite_configfiles)
if default_study:

    configfile: default_study


include: "workflow/rules/common.smk"


wildcard_constraints:
    data="[a-z0-9-]+",
    split="[a-z0-9-]+",
    run="[a-z0-9-]+-s[0-9]+",
    evaluation="[a-z0-9-]+",


# These take seconds, less than the wait in a queue.
localrules:
    all,
    split,
    report,
    track,


include: "workflow/rules/prepare.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


# The default target: all records, the report and the copy to MLflow.
rule all:
    default_target: True
    input:
        jobs.get_records,
        rules.report.output,
        rules.track.output,


# Jobs on a cluster read this file again; only the driver prints.
if workflow.is_main_process:
    report_to_user()


# A real run lists everything that is missing before its first job. A dry run does not need it.
onstart:
    with refusing():
        hold_study(study.name)
        needrun = workflow.dag.needrun_jobs()
        executor = workflow.executor_plugin
        queue = None if executor.common_settings.local_exec else executor.name
        jobs.refuse_unready(needrun, queue=queue)
        jobs.keep_study()
        if queue is None:
            # A job waits for its GPUs before it takes cores; `--resources gpu=N` overrides the number.
            for known in (workflow.scheduler.global_resources, workflow.scheduler.resources):
                known.setdefault("gpu", jobs.num_gpus)


# A call for a part of the study does not seal it.
onsuccess:
    if (problem := jobs.closing_problem()) is None:
        shell(f"python -m folk seal {jobs.study_file}")
    else:
        print(problem, file=sys.stderr)
