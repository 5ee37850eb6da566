"""
Which study this is, which recipe a job follows, what a job asks for, and what is stale.

INPUTS
    study    config/demo.yaml, or the file given with --configfile
"""

import json
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from folk.evidence.record.adopted import read_adopted
from folk.evidence.audit.adopted import adopted_record, is_of_today
from folk.evidence.audit.seal import read_seal, seal_path
from folk.slurm.ask import ask_of, submitted_stages
from folk.slurm.check import site_problems
from folk.slurm.geometry import Geometry
from folk.slurm.driver_note import describe_lock
from folk.slurm.watch import put_in_place
from folk.slurm.queues import ask_slurm
from folk.slurm.site import load_site
from folk.slurm.study_lock import hold_study
from folk.evidence.core.errors import InputError
from folk.evidence.core.digest import digest_file
from folk.evidence.record.fingerprint import code_fingerprint
from folk.evidence.record.staleness import stale_results
from folk.stages.recipes import RECIPES, recipe_digest, result_values
from folk.stages.recipes.named import recipe_file, recipe_of
from folk.stages.recipes.official import changed_digests
from folk.stages.recipes.provide import archive_problems, missing_files
from folk.evidence.results.compared import check_comparisons
from folk.evidence.results.published import load_published, published_files
from folk.evidence.study.study import load_study
from folk.evidence.core.yaml_model import spelt_value
from snakemake.exceptions import WorkflowError
from snakemake.resources import Resource, Resources

DEFAULT_STUDY = "config/demo.yaml"
CODE_OF_STAGE = {stage: f"folk.stages.{stage}" for stage in RECIPES}
CODE_OF_STAGE["report"] = "folk.cli.report"


# Jobs run the Python that runs this, found by name: a path would tie results to one machine.
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def refuse(error):
    """End before any job starts, with the lines of the error alone."""
    raise WorkflowError(f"the study cannot run:\n{error}")


def single_study_file():
    """The one study of this call."""
    if workflow.config_settings.config:
        keys = ", ".join(workflow.config_settings.config)
        refuse(f"--config {keys}: values stand in the study file; change them there")
    files = [str(path) for path in workflow.configfiles] or [DEFAULT_STUDY]
    if len(files) > 1:
        refuse(f"--configfile: one study a call, found {len(files)}: {', '.join(files)}")
    # Snakemake makes it absolute; records and reruns must not depend on where a clone lies.
    path, here = Path(files[0]), Path.cwd()
    path = path.relative_to(here) if path.is_relative_to(here) else path
    # It stands in commands, as do the paths of the recipes beside it.
    if not re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./+@-]*", str(path)):
        refuse(f"--configfile {str(path)!r}: a path of letters, digits and _ . / + @ - is needed")
    return str(path)


def checked_recipes():
    """Every recipe the study names, read and checked before anything runs."""
    recipes, problems = {}, []
    for stage, name, entry in study.entries():
        try:
            path = recipe_file(Path(study_file), stage, entry)
            recipe = recipes[stage, name] = recipe_of(Path(study_file), stage, entry)
            said = archive_problems(entry, recipe) if stage == "prepare" else []
            if study.scale != "smoke":
                said += changed_digests(stage, path, entry.overrides)
            problems += [f"{study_file}: '{name}': {line}" for line in said]
        except InputError as error:
            problems.append(f"{study_file}: '{name}': {error}")
    if problems:
        refuse("\n".join(problems))
    return recipes


def resources_of_rules():
    """What the site says of each rule, as if it came with --set-resources, which has the last word.

    Snakemake hands such resources on to the jobs: what one was submitted with is what it sees on
    its node, whatever becomes of the site file. Without a cluster nobody looks at them.
    """
    given = workflow.resource_settings.overwrite_resources
    of_rules = dict(given)
    for stage in submitted_stages(study):
        # `raw` is what the job is told on its command line, where it is read as Python.
        said = {
            name: Resource(name, value, raw=repr(value))
            for name, value in site.site.resources(ask_of(study, stage)).items()
        }
        if said:
            of_rules[stage] = Resources({**said, **given.get(stage, {})})
    return of_rules


study_file = single_study_file()
try:
    study = load_study(Path(study_file))
    adopted = read_adopted(Path("results", study.name))
    site = load_site()
    # Jobs on a cluster read this file again; what the driver has checked stays so.
    if workflow.is_main_process:
        check_comparisons(study, load_published(Path("config/published")))
except InputError as error:
    refuse(error)
recipes = checked_recipes()
workflow.resource_settings.overwrite_resources = resources_of_rules()
fingerprints = {stage: code_fingerprint(code, Path(".")) for stage, code in CODE_OF_STAGE.items()}


def entry_name(stage, wildcards):
    """The name of the study's entry that a job belongs to, from its wildcards."""
    if stage == "pretrain":
        return row_of(wildcards)
    return getattr(wildcards, {"prepare": "data", "split": "split"}.get(stage, "evaluation"))


def row_of(wildcards):
    return wildcards.run.rpartition("-s")[0]


def seed(wildcards):
    """The one seed of a run, the last part of its name."""
    return int(wildcards.run.rpartition("-s")[2])


def seeds(wildcards):
    """Params function: the run's seed as an option's value and, after it, that of the fine-tuning."""
    again = study.evaluations[wildcards.evaluation].finetune_seed
    return seed(wildcards) if again is None else f"{seed(wildcards)} --finetune-seed {again}"


def path_of_recipe(stage, name):
    """The recipe file of an entry, as Snakemake wants paths."""
    return str(recipe_file(Path(study_file), stage, study.entry(stage, name)))


def recipe_path(stage):
    """Input function: the recipe file. Its time stamp means nothing, `values` tells of changes.

    But Snakemake knows no values of a job that it has not run: where an adopted result was made
    otherwise than the study now asks, the recipe counts as what it is, newer than the result.
    """

    def path(wildcards):
        file = path_of_recipe(stage, entry_name(stage, wildcards))
        return file if adopted_otherwise(stage, wildcards) else ancient(file)

    return path


def values(stage):
    """Params function: what decides the result. A changed value reruns, a reworded comment not."""

    def text(wildcards):
        return values_of_entry(stage, entry_name(stage, wildcards))

    return text


@cache
def values_of_entry(stage, name):
    """The same for every run of an entry, so it is spelt once for all of them."""
    decisive = [result_values(recipes[stage, name])]
    decisive += [result_values(recipes["prepare", data]) for data in study.reads(stage, name)]
    return json.dumps(decisive, sort_keys=True)


def overrides(stage):
    """Params function: the study's own values, as options of the command."""

    def options(wildcards):
        return set_options("--set", study.entry(stage, entry_name(stage, wildcards)))

    return options


def set_options(option, entry):
    """The study's own values of an entry, as options of a command."""
    return " ".join(
        f"{option} {shlex.quote(f'{key}={spelt_value(value)}')}"
        for key, value in sorted(entry.overrides.items())
    )


def adopted_otherwise(stage, wildcards):
    """Whether the result of this job was adopted, and is not what the job would make today."""
    name = entry_name(stage, wildcards)
    own = [wildcards.run] if stage not in ("prepare", "split") else []
    own += [name] if stage != "pretrain" else []
    folder = Path("results", study.name, stage, *own)
    record = adopted_record(folder / "record.json", adopted)
    if record is None:
        return False
    reads = set() if stage == "prepare" else set(datasets(stage)(wildcards))
    if stage == "robustness":
        reads.add(classifier_file(wildcards))
    elif stage in ("finetune", "probe", "segment"):
        reads.add(f"results/{study.name}/pretrain/{wildcards.run}/encoder.safetensors")
        reads.update([split_file(wildcards)] if split_file(wildcards) else [])
    return not is_of_today(record, recipe_digest(recipes[stage, name]), code(stage), reads)


def published_path(wildcards):
    """Input function: the papers' numbers; tables that were adopted count them as `recipe_path`."""
    paths = [str(path) for path in published_files(Path("config/published"))]
    held = read_seal(seal_path(Path("results", study.name))) if adopted else None
    now = {name: digest_file(Path(name)).sha256 for name in (study_file, *paths)}
    same = held is None or all(held.files.get(name) == digest for name, digest in now.items())
    return ancient(paths) if same else paths


def pretrain_recipe_path(wildcards):
    """Input function: the recipe that a row is pre-trained with."""
    return ancient(path_of_recipe("pretrain", row_of(wildcards)))


def pretrain_values(wildcards):
    """Params function: what decides the pre-training of a row."""
    return json.dumps(result_values(recipes["pretrain", row_of(wildcards)]), sort_keys=True)


def pretrain_overrides(wildcards):
    """Params function: the study's own values of that pre-training, as options of the command."""
    return set_options("--pretrain-set", study.encoders[row_of(wildcards)])


def report_stale():
    """Say which results older code made, of the stages that the study does not run again for it."""
    kept = {s: f for s, f in fingerprints.items() if not study.reruns_on_code_change(s)}
    for line in stale_results(Path("results") / study.name, kept):
        print(line, file=sys.stderr)


def watch_slurm_jobs():
    """Let `--executor slurm` watch its jobs to their end; say who holds a lock that is left."""
    put_in_place()
    for line in describe_lock():
        print(line, file=sys.stderr)


def code(stage):
    """The code a stage uses; `reported` where the study has changes reported and not rerun."""
    return fingerprints[stage] if study.reruns_on_code_change(stage) else "reported"


def dataset(stage):
    """Input function: the prepared data set that a job reads."""

    def path(wildcards):
        return datasets(stage)(wildcards)[0]

    return path


def datasets(stage):
    """Input function: all prepared data sets that a job reads."""

    def paths(wildcards):
        names = study.reads(stage, entry_name(stage, wildcards))
        return [f"results/{study.name}/prepare/{name}/dataset.json" for name in names]

    return paths


def dataset_options(wildcards):
    """Params function: the data sets of an evaluation, as options of the command."""
    return " ".join(f"--dataset {path}" for path in datasets("robustness")(wildcards))


def classifier_file(wildcards):
    """Input function: the classifier that another evaluation has fine-tuned."""
    name = study.evaluations[wildcards.evaluation].classifier
    folder = f"results/{study.name}/finetune/{wildcards.run}/{name}"
    return f"{folder}/classifier.safetensors"


def split_file(wildcards):
    """Input function: the few-label subset of an evaluation, or nothing for all labels."""
    split = study.evaluations[wildcards.evaluation].split
    return [] if split is None else f"results/{study.name}/split/{split}/keys.parquet"


def split_option(wildcards):
    """Params function: the same subset, as an option of the command."""
    path = split_file(wildcards)
    return f"--split {path}" if path else ""


def source(wildcards):
    """Params function: the user's folder of images, where a data set is made from one."""
    folder = study.data[wildcards.data].source
    return "" if folder is None else f"--source {shlex.quote(folder)}"


def archives(wildcards):
    """Params function: the user's official archives, where a data set is made from them."""
    return " ".join(
        f"--archive {shlex.quote(f'{name}={path}')}"
        for name, path in study.data[wildcards.data].archives.items()
    )


def hold():
    """Keep other drivers away from this study, or end before any job starts."""
    try:
        hold_study(study.name)
    except InputError as error:
        refuse(error)


def refuse_unready(jobs):
    """End before any job starts if files are missing or the cluster cannot run one of them."""
    jobs = list(jobs)
    lines = lines_about_files(jobs)
    if workflow.executor_plugin.name == "slurm":
        lines += lines_about_cluster({job.rule.name for job in jobs})
    if lines:
        refuse("\n".join(lines))


def lines_about_files(jobs):
    """The files that these jobs need and that the user has yet to bring."""
    data = {job.wildcards.data for job in jobs if job.rule.name == "prepare"}
    splits = {job.wildcards.split for job in jobs if job.rule.name == "split"}
    rows = {row_of(job.wildcards) for job in jobs if job.rule.name == "pretrain"}
    lines = missing_files(study, recipes, data, splits, rows)
    return ["these files are to be provided:", *lines] if lines else []


def lines_about_cluster(rules):
    """What stands against these rules on this cluster."""
    asks = [ask_of(study, stage) for stage in submitted_stages(study) if stage in rules]
    try:
        lines = site_problems(site, asks, ask_slurm()) if asks else []
    except InputError as error:
        lines = [str(error)]
    return ["this cluster cannot run it:", *lines] if lines else []


def list_file(wildcards):
    """Params function: the user's list of images, where a split is read from one."""
    path = study.splits[wildcards.split].list_file
    return "" if path is None else f"--list {shlex.quote(path)}"


def geometry(stage):
    """The nodes, processes, threads and GPUs of a job of this stage."""
    return Geometry.of(study.resources_of(stage))


def launch(stage):
    """Params function: how a job starts, in one process or in several on one node or many.

    It asks for the cores that there are, so it is no value that makes finished results anew.
    """

    def words(wildcards, threads):
        return geometry(stage).words(threads)

    return words


def threads_of_process(stage):
    """Params function: threads of each process, of the cores that there are."""

    def number(wildcards, threads):
        return geometry(stage).threads_within(threads)

    return number


def asked(stage, resource):
    """What the study lets a job of this stage ask for."""
    return getattr(study.resources_of(stage), resource)


def measured(wildcards):
    """Input function: the records of everything that the tables and the audit read."""
    found = [f"results/{study.name}/prepare/{name}/record.json" for name in study.data]
    found += [f"results/{study.name}/split/{name}/record.json" for name in study.splits]
    found += [f"results/{study.name}/pretrain/{run}/record.json" for run, _, _ in study.runs()]
    for name, evaluation in study.evaluations.items():
        rows = set(study.rows_of(name))
        found += [
            f"results/{study.name}/{evaluation.stage}/{run}/{name}/record.json"
            for run, row, _ in study.runs()
            if row in rows
        ]
    return found


def table_values(wildcards):
    """Params function: what the study says about rows, columns, claims and published numbers.

    A function, because snakemake looks for wildcards in the braces of a text, and a title may have some.
    """
    parts = {"title", "scale", "encoders", "exclude", "tables", "claims"}
    said = study.model_dump(mode="json", include=parts)
    files = published_files(Path("config/published"))
    published = [path.read_text(encoding="utf-8") for path in files]
    return json.dumps([said, published], sort_keys=True)
