"""Commands of the stages, made from their table: read the options, open the record, run."""

from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from folk.cli import options
from folk.cli.job import Job, checked_inputs, checked_recipe, run_job
from folk.evidence.core.errors import InputError
from folk.evidence.record.fingerprint import SOURCE, code_fingerprint
from folk.evidence.study.inputs import Input
from folk.evidence.study.stage import Stage
from folk.stages.task import Live, Task

if TYPE_CHECKING:
    from folk.training.distributed import World


def command_of(stage: Stage) -> Callable[..., None]:
    """Make the command of a stage, with an option for each of its inputs."""

    def command(**values: Any) -> None:
        _run(stage, values)

    command.__name__, command.__doc__ = stage.name, stage.summary
    command.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, kind, default in _parameters(stage)
        ]
    )
    return command


def _parameters(stage: Stage) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, type and default of each option."""
    required = Parameter.empty
    yield "recipe", options.Recipe, required
    for given in stage.inputs:
        yield from _parameters_of_input(given)
    yield "out", options.Out, required
    yield "name", options.Name, required
    if stage.of_runs:
        yield "seed", options.Seed, required
    if stage.is_evaluation:
        yield "evaluation", options.Evaluation, stage.name
        yield "finetune_seed", options.FinetuneSeed, None
    yield "settings", options.Settings, []
    yield "study", options.Study, "by-hand"
    yield "scale", options.Scale, "demo"
    yield "work", options.Work, None
    yield "code", options.Code, ""
    yield "threads", options.Threads, 1
    if stage.continues:
        yield "time_limit", options.TimeLimit, None


def _parameters_of_input(given: Input) -> Iterator[tuple[str, Any, Any]]:
    kind: Any = str if given.named else Path
    if given.several:
        option = typer.Option(f"--{given.name}", help=given.help, show_default=False)
        default: Any = [] if given.optional else Parameter.empty
        yield given.parameter, Annotated[list[kind], option], default
    else:
        option = typer.Option(f"--{given.name}", help=given.help)
        optional = (kind | None, None) if given.optional else (kind, Parameter.empty)
        yield given.parameter, Annotated[optional[0], option], optional[1]
    if given.settings is not None:
        option = typer.Option(
            f"--{given.settings}", help="KEY=VALUE over that recipe", show_default=False
        )
        yield given.settings.replace("-", "_"), Annotated[list[str], option], []


def _run(stage: Stage, values: Mapping[str, Any]) -> None:
    given = {option.name: _values(option, values[option.parameter]) for option in stage.inputs}
    scale, out = values["scale"], values["out"]
    recipe = checked_recipe(stage, values["recipe"], values["settings"], scale)
    job = Job(
        stage,
        study=values["study"],
        scale=scale,
        run=values["name"],
        evaluation=values.get("evaluation"),
        seed=values.get("seed"),
        finetune_seed=values.get("finetune_seed"),
        recipe=recipe,
        recipe_path=values["recipe"],
        inputs=checked_inputs(stage, given, scale) | recipe.files(),
        out=out,
        work=values["work"] or out.with_name(f"{out.name}.work"),
        code=values["code"] or code_fingerprint(stage.code, SOURCE),
        threads=values["threads"],
    )
    for option in stage.inputs:
        if option.settings is not None:
            given[option.settings] = values[option.settings.replace("-", "_")]

    def run(live: Live, world: "World | None" = None) -> dict[str, float]:
        assert stage.run is not None
        return stage.run(
            Task(job.run, job.recipe, given, job.work, job.draws, job.identity, live, world)
        )

    if not stage.of_runs:
        run_job(job, run)
        return

    from folk.training.distributed import open_world
    from folk.training.time_limit import seconds_allowed

    with open_world(job.threads, seconds_allowed(values.get("time_limit"))) as world:
        run_job(job, lambda live: run(live, world), world.is_main)


def _values(option: Input, given: Any) -> list[str]:
    """The values of an option; none if it was left out."""
    values = given if option.several else [] if given is None else [given]
    for value in values:
        name, equals, path = str(value).partition("=")
        if option.named and not (equals and name and path):
            raise InputError(
                f"--{option.name} {value}: write NAME=PATH, such as --{option.name} val=val.tar"
            )
    return [str(value) for value in values]
