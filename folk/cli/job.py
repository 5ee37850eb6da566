"""Execution of a stage's task: check, record, run, publish."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from folk.evidence.core.digest import digest_input, sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write, clamp_future_mtimes, write_json
from folk.evidence.core.yaml_model import parsed_settings
from folk.evidence.record.fingerprint import SOURCE, code_fingerprint
from folk.evidence.record.lineage import scale_of
from folk.evidence.record.record import open_record
from folk.evidence.study.stage import Stage
from folk.stages.recipes import recipe_digest, result_values
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.official import changed_digests
from folk.stages.table import load_recipe
from folk.stages.task import Live


@dataclass(frozen=True)
class Job:
    """One call of one stage, from the command line."""

    stage: Stage
    study: str
    scale: str
    run: str  # run, data set or split: the name in the result's path
    evaluation: str | None
    seed: int | None
    finetune_seed: int | None
    recipe: Recipe
    recipe_path: Path
    inputs: dict[str, Path]
    out: Path
    work: Path
    code: str  # fingerprint given by the caller, or "reported"
    threads: int

    @property
    def draws(self) -> int:
        """Seed of the task's random numbers: the run's, or one derived from both seeds."""
        if self.seed is None or self.finetune_seed is None:
            return self.seed or 0
        from folk.training.randomness import derived_seed

        return derived_seed(self.seed, "fine-tuning", self.finetune_seed)

    @cached_property
    def identity(self) -> str:
        """Digest of everything that determines the result; other checkpoints are not continued.

        A study that only reports changed code lets a checkpoint outlive such a change; the record
        lists the restart. Nodes, processes and threads are left out: they move the last bits of a
        sum, no more, and a cluster may give others tomorrow; the record has those of each start.
        """
        files = {
            name: digest_input(path).sha256 for name, path in self.inputs.items() if path.is_file()
        }
        again = {} if self.finetune_seed is None else {"finetune_seed": self.finetune_seed}
        return sha256_of_json(
            {
                "recipe": recipe_digest(self.recipe),
                "seed": self.seed,
                **again,
                "inputs": files,
                "code": self.code,
            }
        )


def checked_recipe(stage: Stage, path: Path, settings: list[str], scale: str) -> Recipe:
    """Read a recipe with KEY=VALUE laid over it, and check that a study of this scale may use it.

    Raises:
        InputError: invalid recipe or setting, a changed published digest, or a missing file.
    """
    own = parsed_settings(settings)
    recipe = load_recipe(stage.name, path, own)
    changed = [] if scale == "smoke" else changed_digests(stage.name, path, own)
    if changed:
        raise InputError("\n".join(changed))
    if (problem := recipe.unfit(scale)) is not None:
        raise InputError(f"{path}: {problem}")
    for name, file in recipe.files().items():
        if not file.is_file():
            raise InputError(f"{name} {file}: no such file; provide it, nothing is downloaded")
    return recipe


def checked_inputs(stage: Stage, given: Mapping[str, list[str]], scale: str) -> dict[str, Path]:
    """Name the files of the options of a stage's inputs as its record does.

    Raises:
        InputError: one is missing, or made by a smoke run.
    """
    inputs = {
        name: path
        for option in stage.inputs
        for value in given[option.name]
        for name, path in option.recorded(value).items()
    }
    for name, path in inputs.items():
        if not path.exists():
            raise InputError(f"--{name} {path}: no such file or folder")
        if scale != "smoke" and scale_of(path) == "smoke":
            raise InputError(f"--{name} {path}: made by a smoke run; use inputs of a full run")
    return inputs


def run_job(job: Job, task: Callable[[Live], dict[str, float]], is_main: bool = True) -> None:
    """Run the task under its record and publish its outputs from the work folder.

    Args:
        job: what is run.
        task: does the work; its argument receives the lines of the history.
        is_main: True in the one process of a job that writes the record.
    """
    if not is_main:
        task(lambda _step, _values: None)
        return
    from folk.evidence.adapters.mlflow_mirror import LiveMirror

    with open_record(
        job.work,
        study=job.study,
        stage=job.stage.name,
        run=job.run,
        evaluation=job.evaluation,
        argv=["python", "-m", "folk", *sys.argv[1:]],
        recipe=job.recipe.model_dump(mode="json"),
        recipe_digest=recipe_digest(job.recipe),
        seed=job.seed,
        finetune_seed=job.finetune_seed,
        inputs=job.inputs,
        code=code_fingerprint(job.stage.code, SOURCE),
        scale=job.scale,
        identity=job.identity,
        threads=job.threads,
        root=SOURCE,
    ) as record:
        _write_log_header(record.fields)
        _clamp_input_mtimes(job)
        name = "/".join(filter(None, (job.stage.name, job.run, job.evaluation)))
        with LiveMirror(os.environ.get("MLFLOW_TRACKING_URI"), job.study, name) as mirror:

            def live(step: int, values: dict[str, float]) -> None:
                record.check_is_latest()
                mirror.log(step, values)

            metrics = task(live)
        metrics = _derived(job, metrics) | metrics
        write_json(job.work / "metrics.json", metrics)
        _write_recipe(job.work / "recipe.yaml", job.recipe)
        outputs = [*job.stage.outputs.values(), *job.recipe.more_outputs()]
        names = [*outputs, "metrics.json", "recipe.yaml"]
        _clamp_input_mtimes(job)  # the clock may have been set back meanwhile
        record.finish(
            outputs={name: job.out / name for name in names},
            metrics=metrics,
            path=job.out / "record.json",
            moves={job.work / name: job.out / name for name in names},
        )
    print(json.dumps(metrics, indent=2))


def _derived(job: Job, metrics: Mapping[str, float]) -> dict[str, float]:
    """Compute the metrics that the stage declares by name and the task has left out."""
    declared = job.stage.metrics.items()
    values = {
        name: metric.value_in(job.work, name)
        for name, metric in declared
        if "*" not in name and name not in metrics
    }
    return {name: value for name, value in values.items() if value is not None}


def _write_log_header(fields: Mapping[str, Any]) -> None:
    """Begin this start's part of the log, after those of earlier starts."""
    slurm = fields["scheduler"]
    job = f", SLURM job {slurm['job_id']}" if slurm else ""
    where = f"{fields['hardware']['host']}{job}"
    print(f"--- {fields['stage']} {fields['run']}, {fields['started']}, {where}", file=sys.stderr)


def _clamp_input_mtimes(job: Job) -> None:
    """Set mtimes of inputs that are in the future to now, so that the result is newer.

    The workflow deletes an older result. Files that did not come from a job are not changed.
    """
    made = [path for path in job.inputs.values() if path.with_name("record.json").is_file()]
    log_clamped(clamp_future_mtimes([job.recipe_path, *made]))


def log_clamped(changed: list[Path]) -> None:
    """Report mtimes that were ahead of the clock."""
    for path in changed:
        print(f"{path}: its mtime was ahead of the clock and was set to now", file=sys.stderr)


def _write_recipe(path: Path, recipe: Recipe) -> None:
    prose = recipe.model_dump(mode="json", include={"about", "source", "assume"})
    with atomic_write(path) as temp, temp.open("w", encoding="utf-8") as file:
        YAML().dump(prose | result_values(recipe), file)
