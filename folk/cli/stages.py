"""Commands of the stages: read the options, open the record, call one task."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from folk.cli import options
from folk.cli.job import make_job, parse_settings, run_job, with_input
from folk.evidence.core.errors import InputError
from folk.stages.recipes import load_recipe
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.evaluate import (
    CostRecipe,
    FinetuneRecipe,
    ProbeRecipe,
    RobustnessRecipe,
    SegmentRecipe,
)
from folk.stages.recipes.prepare import PrepareRecipe, SplitRecipe
from folk.stages.recipes.pretrain import PretrainRecipe


def prepare(
    recipe: options.Recipe,
    out: options.Out,
    name: options.Name,
    source: Annotated[
        Path | None, typer.Option(help="folder with train/<class>/* and val/<class>/*")
    ] = None,
    archives: Annotated[
        list[str],
        typer.Option(
            "--archive",
            help="NAME=PATH of an official archive, such as devkit=ILSVRC2012_devkit_t12.tar.gz",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    settings: options.Settings = [],  # noqa: B006
    study: options.Study = "by-hand",
    scale: options.Scale = "demo",
    work: options.Work = None,
    code: options.Code = "",
    threads: options.Threads = 1,
) -> None:
    """Turn images, embedded, in a folder or in archives, into shards for every later stage."""
    paths = dict(_named_path(text) for text in archives)
    job, checked = make_job(
        "prepare",
        PrepareRecipe,
        recipe,
        settings,
        study=study,
        scale=scale,
        run=name,
        inputs={"source": source} | {f"archive {name}": path for name, path in paths.items()},
        out=out,
        work=work,
        code=code,
        threads=threads,
    )

    from folk.stages.prepare import run_prepare

    run_job(
        job,
        ["shards", "manifest.parquet", "dataset.json"],
        lambda live: run_prepare(
            checked,
            source,
            job.work,
            name,
            archives=paths,
            identity=job.identity,
            confirm=lambda: live(0, {}),
        ),
    )


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise InputError(f"--archive {text}: write NAME=PATH, such as --archive val=val.tar")
    return name, Path(path)


def split(
    recipe: options.Recipe,
    dataset: options.Dataset,
    out: options.Out,
    name: options.Name,
    list_file: Annotated[
        Path | None, typer.Option("--list", help="file with one image a line")
    ] = None,
    settings: options.Settings = [],  # noqa: B006
    study: options.Study = "by-hand",
    scale: options.Scale = "demo",
    work: options.Work = None,
    code: options.Code = "",
    threads: options.Threads = 1,
) -> None:
    """Choose the few labeled images that a run may see: balanced by class, or from a list."""
    job, checked = make_job(
        "split",
        SplitRecipe,
        recipe,
        settings,
        study=study,
        scale=scale,
        run=name,
        inputs={"dataset": dataset, "list": list_file},
        out=out,
        work=work,
        code=code,
        threads=threads,
    )

    from folk.stages.split import run_split

    run_job(
        job,
        ["keys.parquet"],
        lambda _live: run_split(checked, dataset.parent, job.work, list_file),
    )


def pretrain(
    recipe: options.Recipe,
    dataset: options.Dataset,
    out: options.Out,
    seed: options.Seed,
    name: options.Name,
    settings: options.Settings = [],  # noqa: B006
    study: options.Study = "by-hand",
    scale: options.Scale = "demo",
    work: options.Work = None,
    code: options.Code = "",
    threads: options.Threads = 1,
    time_limit: options.TimeLimit = None,
) -> None:
    """Train an encoder without labels: FOLK, MFM, or any filter with or without distillation."""
    job, checked = make_job(
        "pretrain",
        PretrainRecipe,
        recipe,
        settings,
        study=study,
        scale=scale,
        run=name,
        seed=seed,
        inputs={"dataset": dataset, "manifest": dataset.with_name("manifest.parquet")},
        out=out,
        work=work,
        code=code,
        threads=threads,
    )
    if checked.encoder.checkpoint is not None:
        job = with_input(job, "checkpoint", Path(checked.encoder.checkpoint.path))

    from folk.stages.pretrain import pretrain as task
    from folk.training.distributed import open_world
    from folk.training.time_limit import seconds_allowed

    files = ["encoder.safetensors", "encoder.json"]
    other = checked.method and checked.method.other_encoder
    encoders = files + ([f"{other}/{file}" for file in files] if other else [])
    with open_world(job.threads, seconds_allowed(time_limit)) as world:
        run_job(
            job,
            [*encoders, "examples.npz", "metrics.jsonl"],
            lambda live: task(
                checked,
                dataset=dataset.parent,
                work=job.work,
                run=name,
                seed=seed,
                identity=job.identity,
                world=world,
                live=live,
            ),
            world.is_main,
        )


def _evaluation(
    stage: str, kind: type[Recipe], predictions: list[str], summary: str
) -> Callable[..., None]:
    """Make the command of an evaluation stage; these stages have the same options."""

    def command(
        recipe: options.Recipe,
        encoder: options.Encoder,
        dataset: options.Dataset,
        out: options.Out,
        seed: options.Seed,
        name: options.Name,
        evaluation: options.Evaluation = stage,
        split: options.Split = None,
        finetune_seed: options.FinetuneSeed = None,
        settings: options.Settings = [],  # noqa: B006
        study: options.Study = "by-hand",
        scale: options.Scale = "demo",
        work: options.Work = None,
        code: options.Code = "",
        threads: options.Threads = 1,
        time_limit: options.TimeLimit = None,
    ) -> None:
        card = encoder.with_name("encoder.json")
        job, checked = make_job(
            stage,
            kind,
            recipe,
            settings,
            study=study,
            scale=scale,
            run=name,
            evaluation=evaluation,
            seed=seed,
            finetune_seed=finetune_seed,
            inputs={
                "encoder": encoder,
                "card": card,
                "dataset": dataset,
                "manifest": dataset.with_name("manifest.parquet"),
                "split": split,
            },
            out=out,
            work=work,
            code=code,
            threads=threads,
        )

        from folk.training.distributed import open_world
        from folk.training.time_limit import seconds_allowed

        task = getattr(importlib.import_module(f"folk.stages.{stage}"), stage)
        with open_world(job.threads, seconds_allowed(time_limit)) as world:
            run_job(
                job,
                [*predictions, "metrics.jsonl"],
                lambda live: task(
                    checked,
                    encoder=encoder.parent,
                    dataset=dataset.parent,
                    split=split,
                    work=job.work,
                    seed=job.draws,
                    identity=job.identity,
                    world=world,
                    live=live,
                ),
                world.is_main,
            )

    command.__name__, command.__doc__ = stage, summary
    return command


finetune = _evaluation(
    "finetune",
    FinetuneRecipe,
    ["predictions.parquet", "classifier.safetensors", "classifier.json"],
    "Train a whole classifier from an encoder, with all labels or a few.",
)
probe = _evaluation(
    "probe",
    ProbeRecipe,
    ["predictions-knn.parquet", "predictions-linear.parquet", "predictions-kshot.parquet"],
    "Measure frozen features: nearest neighbors, a linear classifier, and a few labels.",
)
segment = _evaluation(
    "segment",
    SegmentRecipe,
    ["predictions.parquet"],
    "Transfer an encoder to semantic segmentation with a UperNet decoder.",
)


def robustness(
    recipe: options.Recipe,
    classifier: Annotated[
        Path, typer.Option(help="classifier.safetensors, with classifier.json beside it")
    ],
    dataset: Annotated[
        list[Path],
        typer.Option(help="dataset.json; the first has the clean images, give further sets after"),
    ],
    out: options.Out,
    seed: options.Seed,
    name: options.Name,
    evaluation: options.Evaluation = "robustness",
    finetune_seed: options.FinetuneSeed = None,
    settings: options.Settings = [],  # noqa: B006
    study: options.Study = "by-hand",
    scale: options.Scale = "demo",
    work: options.Work = None,
    code: options.Code = "",
    threads: options.Threads = 1,
) -> None:
    """Measure a fine-tuned classifier on other sets, corrupted images, and under attack."""
    inputs = {"classifier": classifier, "card": classifier.with_name("classifier.json")}
    for path in dataset:
        inputs[f"dataset/{path.parent.name}"] = path
        inputs[f"manifest/{path.parent.name}"] = path.with_name("manifest.parquet")
    job, checked = make_job(
        "robustness",
        RobustnessRecipe,
        recipe,
        settings,
        study=study,
        scale=scale,
        run=name,
        evaluation=evaluation,
        seed=seed,
        finetune_seed=finetune_seed,
        inputs=inputs,
        out=out,
        work=work,
        code=code,
        threads=threads,
    )
    if scale != "demo" and checked.in_memory:
        raise InputError(
            f"{recipe}: in_memory: corruptions made in memory are for demos; at the papers' scale "
            "prepare ImageNet-C's own JPEG files, name that set in the study, and give [] here"
        )

    from folk.stages.robustness import robustness as task
    from folk.training.distributed import open_world

    with open_world(job.threads) as world:
        run_job(
            job,
            ["predictions-variants.parquet"],
            lambda _live: task(
                checked,
                classifier=classifier.parent,
                datasets=[path.parent for path in dataset],
                work=job.work,
                seed=job.draws,
                world=world,
            ),
            world.is_main,
        )


def cost(
    recipe: options.Recipe,
    pretrain_recipe: Annotated[Path, typer.Option(help="YAML file of the pre-training's recipe")],
    dataset: options.Dataset,
    out: options.Out,
    seed: options.Seed,
    name: options.Name,
    pretrain_settings: Annotated[
        list[str],
        typer.Option("--pretrain-set", help="KEY=VALUE over that recipe", show_default=False),
    ] = [],  # noqa: B006
    evaluation: options.Evaluation = "cost",
    settings: options.Settings = [],  # noqa: B006
    study: options.Study = "by-hand",
    scale: options.Scale = "demo",
    work: options.Work = None,
    code: options.Code = "",
    threads: options.Threads = 1,
) -> None:
    """Measure what a pre-training costs: parameters, FLOPs, memory, time. Nothing is trained."""
    job, checked = make_job(
        "cost",
        CostRecipe,
        recipe,
        settings,
        study=study,
        scale=scale,
        run=name,
        evaluation=evaluation,
        seed=seed,
        inputs={"pretrain-recipe": pretrain_recipe, "dataset": dataset},
        out=out,
        work=work,
        code=code,
        threads=threads,
    )
    row = load_recipe("pretrain", pretrain_recipe, parse_settings(pretrain_settings))
    assert isinstance(row, PretrainRecipe)

    from folk.stages.cost import cost as task
    from folk.training.distributed import open_world

    with open_world(job.threads) as world:
        run_job(
            job,
            ["cost.json", "metrics.jsonl"],
            lambda live: task(
                checked,
                row,
                name=name,
                dataset=dataset.parent,
                work=job.work,
                seed=seed,
                world=world,
                live=live,
            ),
            world.is_main,
        )
