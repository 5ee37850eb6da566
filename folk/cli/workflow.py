"""Answers of a study to the rules of the workflow, in plain values; imports no Snakemake.

Methods called `get_x` are for rules: given a stage they return an input or params function, given
wildcards they are one.
"""

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from folk.cli.fits import Fits
from folk.cli.sources_today import sources_today
from folk.evidence.audit.chain import RECORD_NAME
from folk.evidence.audit.sources import NOTE_NAME
from folk.evidence.audit.stale import StudyToday, published_differences
from folk.evidence.core.errors import InputError
from folk.evidence.core.json_file import read_keys
from folk.evidence.core.shipped import shipped
from folk.evidence.core.yaml_model import Document, Layers, parse_value, spelt_value
from folk.evidence.record.failures import READERS, WORK
from folk.evidence.record.fingerprint import SOURCE, code_fingerprint
from folk.evidence.results.compared import check_comparisons
from folk.evidence.results.published import load_published, published_files
from folk.evidence.study.effective import effective_path, write_effective
from folk.evidence.study.inputs import Input
from folk.evidence.study.study import DataEntry, Entry, checked_study, plain_path, unfolded
from folk.slurm.ask import ask_of, submitted_stages
from folk.slurm.check import site_problems
from folk.slurm.geometry import Geometry
from folk.slurm.gpus import has_only, visible_gpus
from folk.slurm.queues import ask_slurm
from folk.slurm.site import load_site
from folk.stages.prepare import PrepareRecipe
from folk.stages.recipes import result_values
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.named import recipe_file, recipe_of
from folk.stages.recipes.official import changed_digests
from folk.stages.recipes.provide import (
    archive_paths,
    archive_problems,
    folder_of_images,
    missing_files,
)
from folk.stages.table import STAGES

DEMO = Path("config/demo.yaml")
SHOWN_LINES = 20
PUBLISHED = Path("config/published")
SLURM_EXECUTORS = ("folk-slurm", "slurm")

# Snakemake calls these with an object that has each wildcard as an attribute.
Asked = Callable[[Any], Any]
AskedWithThreads = Callable[[Any, int], Any]


def get_default(files: Iterable[Path]) -> str | None:
    """The demo, unless one of the `--configfile` files names a study of its own.

    A file that names none lies over the demo.

    Raises:
        InputError: one of the files is missing or is not YAML.
    """
    named = any("study" in Document(_from_here(path)).values for path in files)
    return None if named else str(shipped(DEMO))


def get_config(files: Sequence[Path], arguments: Iterable[str]) -> Layers:
    """The values of a call: of its config files, the last on top, and of `--config`.

    The files are read again, for Snakemake reads YAML 1.1, where 2e-4 is text.

    Args:
        files: the lowest first.
        arguments: KEY=VALUE of `--config`; values are read as YAML.

    Raises:
        InputError: one of the files is missing or is not YAML, or a value is none.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        key, _, text = argument.partition("=")
        try:
            values[key] = parse_value(text)
        except InputError as error:
            raise InputError(f"--config {key}: {error}") from error
    return Layers([_from_here(path) for path in files], values, origin="--config", named_by="study")


class Jobs:
    """The jobs of one study: what decides them, what they read, and how they are started."""

    def __init__(
        self, config: Document, ancient: Callable[[Any], Any], make_again: Callable[[str], None]
    ) -> None:
        """Check a study and its recipes before anything runs.

        Args:
            config: the values of the study.
            ancient: marks a path whose time stamp means nothing.
            make_again: plans the job that makes a file, whatever the time stamps are.

        Raises:
            InputError: one line for each problem.
        """
        written = checked_study(config, STAGES)
        folder = written.recipe_folder(config.path)
        try:
            plain_path(folder.as_posix())
        except ValueError as error:
            raise InputError(f"{config.path}: recipes: {error} (found '{folder}')") from error
        # With its recipes' folder the study means the same wherever its file lies.
        self.values = {**config.values, "recipes": folder.as_posix()}
        self.study = unfolded(written.model_copy(update={"recipes": folder.as_posix()}))
        self.results = Path("results", self.study.name)
        self.study_file = effective_path(self.results)
        self.recipes = self._checked_recipes(config.path, folder)
        self._config, self._folder, self._ancient = config, folder, ancient
        self._make_again = make_again
        self._site = load_site()
        self._fingerprints = {
            name: code_fingerprint(stage.code, SOURCE) for name, stage in STAGES.items()
        }
        self._stale: set[str] = set()  # records of results that are to be made again

    @property
    def num_gpus(self) -> int:
        """Number of GPUs of this machine."""
        return len(visible_gpus(os.environ))

    def check_published(self) -> None:
        """Check the published numbers that the study names.

        Raises:
            InputError: a line for each that cannot be compared with one of ours.
        """
        check_comparisons(self.study, load_published(shipped(PUBLISHED)))

    def keep_study(self) -> None:
        """Write the study as it runs into its results, for `explain`, `verify` and `report`."""
        write_effective(self.values, self.study_file)

    def find_stale(self) -> list[str]:
        """Decide from the records what is made again, whatever Snakemake remembers.

        Returns:
            a line for each result that today's study, recipes, sources or code would make
            otherwise, and for each that is damaged, which a person decides about.
        """
        recipes = {entry: result_values(recipe) for entry, recipe in self.recipes.items()}
        sources = sources_today(self.study, self._folder)
        today = StudyToday(self.study, self.results, recipes, sources)
        stages = {folder: job.stage for folder, job in today.jobs.items()}
        lines: list[str] = []
        for folder, stage in [*stages.items(), (self.results / "report", "report")]:
            path = folder / RECORD_NAME
            if not path.is_file():
                continue
            try:
                lines += self._stale_lines(today, stage, path)
            except (InputError, KeyError, TypeError, ValueError, AttributeError):
                lines.append(f"{path}: unreadable; restore it, or delete it and run its job again")
        more = len(lines) - SHOWN_LINES
        return lines[:SHOWN_LINES] + ([f"... and {more} more"] if more > 0 else [])

    def closing_problem(self) -> str | None:
        """The reason not to seal the study yet, records that are missing; None if none is."""
        paths = [*self.get_records(None), *(f"{self.results}/{r}/{RECORD_NAME}" for r in READERS)]
        missing = [path for path in paths if not Path(path).is_file()]
        if not missing:
            return None
        return (
            f"{self.study.name}: not sealed, and DVC keeps no files yet: {len(missing)} of "
            f"{len(paths)} records are missing, such as {missing[0]}"
        )

    def refuse_unready(self, jobs: Iterable[Any], *, queue: str | None) -> None:
        """Check that these jobs have their files, recipes that fit, and machines.

        Args:
            jobs: what will run.
            queue: the executor that submits them, or None where they run on this machine.

        Raises:
            InputError: a line for each file that is missing, each thing that the machine lacks and
                each recipe that does not fit an encoder.
        """
        jobs = list(jobs)
        lines = self._missing_files(jobs)
        rules = {job.rule.name for job in jobs}
        on_slurm = queue in SLURM_EXECUTORS
        lines += self._cluster_problems(rules) if on_slurm else self._machine_problems(rules, queue)
        if lines:
            raise InputError("\n".join(lines))
        Fits(self.study, self._config, self._folder, self.recipes).check(
            (job.rule.name, self._entry_name(job.rule.name, job.wildcards), _row(job.wildcards))
            for job in jobs
            if job.rule.name in STAGES and STAGES[job.rule.name].of_runs
        )

    # Params and input functions.

    def get_recipe(self, stage: str) -> Asked:
        """Input function: the recipe. Its time stamp means nothing, records tell of changes."""

        def path(wildcards: Any) -> Any:
            record = f"{self.get_folder(stage).format(**vars(wildcards))}/{RECORD_NAME}"
            if record in self._stale:
                self._make_again(record)
            return self._ancient(self._recipe_file(stage, self._entry_name(stage, wildcards)))

        return path

    def get_overrides(self, stage: str) -> Asked:
        """Params function: the study's own values of an entry, as options of the command."""

        def options(wildcards: Any) -> str:
            return _options("--set", self._entry(stage, wildcards))

        return options

    def get_code(self, stage: str) -> str:
        """The code a stage uses; `reported` where the study reports changes and reruns nothing."""
        return self._fingerprints[stage] if self.study.reruns_on_code_change(stage) else "reported"

    def get_seed(self, wildcards: Any) -> int:
        """Params function: the seed of a run, the last part of its name."""
        return int(wildcards.run.rpartition("-s")[2])

    def get_seeds(self, wildcards: Any) -> int | str:
        """Params function: a run's seed and, where it has one, the option of its fine-tuning's."""
        seed = self.get_seed(wildcards)
        again = self.study.evaluations[wildcards.evaluation].finetune_seed
        return seed if again is None else f"{seed} --finetune-seed {again}"

    def get_inputs(self, stage: str) -> dict[str, Asked]:
        """The input functions of a stage: its recipe, and a file or several of each kind."""
        kinds = {given.parameter: self._get_input(stage, given) for given in STAGES[stage].inputs}
        return {"recipe": self.get_recipe(stage), **kinds}

    def get_input(self, stage: str, name: str) -> Asked:
        """Input function: the files of one kind that a job reads."""
        return self.get_inputs(stage)[name]

    def get_outputs(self, stage: str) -> dict[str, str]:
        """The files that a job of a run leaves, as paths with wildcards."""
        files = {**STAGES[stage].outputs, "metrics": "metrics.json"}
        files |= {"resolved": "recipe.yaml", "record": "record.json"}
        return {name: f"{self.get_folder(stage)}/{file}" for name, file in files.items()}

    def get_folder(self, stage: str, parent: str = "") -> str:
        """The folder of a job's results, with wildcards; below `parent` that of its work."""
        parts = [f"{{{STAGES[stage].wildcard}}}"]
        parts += ["{evaluation}"] if STAGES[stage].is_evaluation else []
        return "/".join(filter(None, (str(self.results), parent, stage, *parts)))

    def get_resources(self, stage: str) -> dict[str, Any]:
        """The resources of a submitted job, of the study and of the site file."""
        asked = self.study.resources_of(stage)
        return {
            **self.get_geometry(stage).resources(),
            "mem_mb": asked.mem_mb,
            "runtime": asked.runtime,
            **self._site.site.resources(ask_of(self.study, stage)),
        }

    def get_params(self, stage: str) -> dict[str, Any]:
        """The params of an evaluation stage: how its jobs are called."""
        launch = self.get_launch(stage)
        return {
            "code": self.get_code(stage),
            "command": lambda wildcards, threads: f"{launch(wildcards, threads)} {stage}",
            "threads": self.get_threads(stage),
            "overrides": self.get_overrides(stage),
            "options": self.get_options(stage),
            "files": self.get_file_options(stage),
            "out": self.get_folder(stage),
            # Not an output: outputs of a failed job are deleted, what has grown must survive.
            "work": self.get_folder(stage, "work"),
        }

    def get_options(self, stage: str) -> Asked:
        """Params function: the inputs that may be left out or repeated, and values over recipes."""

        def options(wildcards: Any) -> str:
            words = []
            for given in STAGES[stage].inputs:
                if given.optional or given.several:
                    paths = self._get_input(stage, given)(wildcards)
                    words += [f"--{given.name} {path}" for path in paths]
                if given.settings is not None:
                    row = self.study.encoders[_row(wildcards)]
                    words += [_options(f"--{given.settings}", row)]
            return " ".join(words)

        return options

    def get_file_options(self, stage: str) -> Callable[[Any, Any, Any], str]:
        """Params function: the other inputs and, for a job that can continue, its time limit."""

        def options(wildcards: Any, input: Any, resources: Any) -> str:
            words = [
                f"--{given.name} {getattr(input, given.parameter)}"
                for given in STAGES[stage].inputs
                if not given.optional and not given.several
            ]
            words += [f"--time-limit {resources.runtime}"] if STAGES[stage].continues else []
            return " ".join(words)

        return options

    def get_source(self, wildcards: Any) -> str:
        """Params function: the user's folder of images, where a data set is made from one."""
        folder = folder_of_images(*self._data(wildcards))
        return "" if folder is None else f"--source {shlex.quote(folder)}"

    def get_archives(self, wildcards: Any) -> str:
        """Params function: the user's official archives, where a data set is made from them."""
        archives = archive_paths(*self._data(wildcards))
        return " ".join(f"--archive {shlex.quote(f'{k}={path}')}" for k, path in archives.items())

    def get_list(self, wildcards: Any) -> str:
        """Params function: the user's list of images, where a split is read from one."""
        path = self.study.splits[wildcards.split].list_file
        return "" if path is None else f"--list {shlex.quote(path)}"

    def get_geometry(self, stage: str) -> Geometry:
        """The nodes, processes, threads and GPUs of a job of this stage."""
        return Geometry.of(self.study.resources_of(stage))

    def get_resource(self, stage: str, name: str) -> int:
        """A resource that jobs of this stage request, such as `mem_mb`."""
        asked: int = getattr(self.study.resources_of(stage), name)
        return asked

    def get_launch(self, stage: str) -> AskedWithThreads:
        """Params function: how a job starts, in one process or in several on one node or many.

        It asks for the cores that there are, so it is no value that makes finished results anew.
        """
        return lambda wildcards, threads: self.get_geometry(stage).words(threads)

    def get_threads(self, stage: str) -> AskedWithThreads:
        """Params function: threads of each process, of the cores that there are."""
        return lambda wildcards, threads: self.get_geometry(stage).threads_within(threads)

    def get_published(self, wildcards: Any) -> Any:
        """Input function: the papers' numbers; `get_recipe` says how changes are noticed."""
        record = f"{self.results}/report/{RECORD_NAME}"
        if record in self._stale:
            self._make_again(record)
        published = published_files(shipped(PUBLISHED))
        return self._ancient([path.as_posix() for path in published])

    def get_records(self, wildcards: Any) -> list[str]:
        """Input function: the records of everything that the tables and the audit read."""
        study = self.study
        found = [f"prepare/{name}" for name in study.data]
        found += [f"split/{name}" for name in study.splits]
        found += [f"pretrain/{run}" for run, _, _ in study.runs()]
        for name, evaluation in study.evaluations.items():
            rows = set(study.rows_of(name))
            found += [
                f"{evaluation.stage}/{run}/{name}" for run, row, _ in study.runs() if row in rows
            ]
        return [f"{self.results}/{place}/record.json" for place in found]

    def _data(self, wildcards: Any) -> tuple[DataEntry, PrepareRecipe]:
        recipe = self.recipes["prepare", wildcards.data]
        assert isinstance(recipe, PrepareRecipe)
        return self.study.data[wildcards.data], recipe

    def _checked_recipes(self, named_in: Path, folder: Path) -> dict[tuple[str, str], Recipe]:
        recipes: dict[tuple[str, str], Recipe] = {}
        problems: list[str] = []
        for stage, name, entry in self.study.entries():
            try:
                recipe = recipes[stage, name] = recipe_of(folder, stage, entry)
                found = []
                if isinstance(entry, DataEntry):
                    assert isinstance(recipe, PrepareRecipe)
                    found += archive_problems(entry, recipe)
                if self.study.scale != "smoke":
                    file = recipe_file(folder, stage, entry)
                    found += changed_digests(stage, file, entry.overrides)
                problems += [f"{named_in}: '{name}': {line}" for line in found]
            except InputError as error:
                problems.append(f"{named_in}: '{name}': {error}")
        if problems:
            raise InputError("\n".join(problems))
        return recipes

    def _recipe_file(self, stage: str, name: str) -> str:
        return str(recipe_file(self._folder, stage, self.study.entry(stage, name)))

    def _stale_lines(self, today: StudyToday, stage: str, path: Path) -> Iterator[str]:
        """The lines of one result; what is to be made again is noted."""
        record = read_keys(path, "restore it")
        if stage == "report":
            changes = [*today.of_tables(record)]
            changes += published_differences(record, shipped(PUBLISHED))
        else:
            note = self.results / WORK / path.parent.relative_to(self.results) / NOTE_NAME
            changes = list(today.differences(today.jobs[path.parent], record, note))
        made_by, code = record["code"]["fingerprint"], self._fingerprints[stage]
        of_code = f"made by code {made_by[:8]}, today's is {code[:8]}"
        if made_by != code and self.study.reruns_on_code_change(stage):
            changes.append(of_code)
        if changes:
            self._stale.add(path.as_posix())
            yield f"{path.parent}: stale: {'; '.join(changes)}"
        elif made_by != code:
            yield f"{path.parent}: stale: {of_code}"
        lost = [each["path"] for each in record["outputs"] if not Path(each["path"]).exists()]
        if lost and not changes:
            yield (
                f"{path.parent}: {len(lost)} of its files are missing, such as {lost[0]}; "
                f"get them back, or delete {path} and run its job again"
            )

    def _get_input(self, stage: str, given: Input) -> Asked:
        if given.settings is None:
            return lambda wildcards: self._made_input(given, stage, wildcards)
        return lambda wildcards: self._ancient(self._recipe_file("pretrain", _row(wildcards)))

    def _made_input(self, given: Input, stage: str, wildcards: Any) -> list[str]:
        """The files of a kind that a job reads and that other jobs make."""
        run, entry = getattr(wildcards, "run", ""), self._entry(stage, wildcards)
        return [f"{self.results}/{place}" for place in given.places(self.study, run, entry)]

    def _entry_name(self, stage: str, wildcards: Any) -> str:
        """The name of the study's entry that a job belongs to."""
        run = str(getattr(wildcards, STAGES[stage].wildcard))
        return self.study.entry_name(stage, run, getattr(wildcards, "evaluation", None))

    def _entry(self, stage: str, wildcards: Any) -> Entry:
        return self.study.entry(stage, self._entry_name(stage, wildcards))

    def _missing_files(self, jobs: Iterable[Any]) -> list[str]:
        """The files that these jobs need and that the user has yet to bring."""
        of_rule: dict[str, set[str]] = {"prepare": set(), "split": set(), "pretrain": set()}
        for job in jobs:
            if job.rule.name in of_rule:
                of_rule[job.rule.name].add(self._entry_name(job.rule.name, job.wildcards))
        lines = missing_files(self.study, self.recipes, *of_rule.values())
        return ["these files are to be provided:", *lines] if lines else []

    def _cluster_problems(self, rules: Collection[str]) -> list[str]:
        """Reasons why this cluster cannot run these rules, a line each."""
        stages = [stage for stage in submitted_stages(self.study) if stage in rules]
        asks = [ask_of(self.study, stage) for stage in stages]
        try:
            lines = site_problems(self._site, asks, ask_slurm()) if asks else []
        except InputError as error:
            lines = [str(error)]
        return ["this cluster cannot run it:", *lines] if lines else []

    def _machine_problems(self, rules: set[str], queue: str | None) -> list[str]:
        """Reasons why this machine, or one node of a queue, cannot run these rules."""
        lines, gpus = [], visible_gpus(os.environ)
        for stage in rules & STAGES.keys():
            asked = self.get_geometry(stage)
            where = self._config.where(("resources", stage))
            if queue is None and asked.gpus > len(gpus):
                lines.append(f"{where}: resources.{stage}.gpu: {asked.gpus}; {has_only(gpus)}")
            if asked.nodes > 1 and not os.environ.get("SLURM_JOB_ID"):
                lines.append(
                    f"{where}: resources.{stage}.nodes: {asked.nodes}; this call runs jobs on one "
                    "machine each; set it to 1, or call with --workflow-profile slurm"
                )
        return lines


def _from_here(path: Path) -> Path:
    """Snakemake makes paths absolute; records must not depend on where a clone lies."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _row(wildcards: Any) -> str:
    return str(wildcards.run.rpartition("-s")[0])


def _options(option: str, entry: Entry) -> str:
    """The study's own values of an entry, as options of a command."""
    return " ".join(
        f"{option} {shlex.quote(f'{key}={spelt_value(value)}')}"
        for key, value in sorted(entry.overrides.items())
    )
