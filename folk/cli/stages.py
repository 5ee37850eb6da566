"""The stages that compute: read the options, open the record, call one task."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from folk.cli import options
from folk.cli.job import make_job, run_job, with_input
from folk.recipes.base import Recipe
from folk.recipes.evaluate import FinetuneRecipe, ProbeRecipe, SegmentRecipe
from folk.recipes.prepare import PrepareRecipe, SplitRecipe
from folk.recipes.pretrain import PretrainRecipe


def prepare(
    recipe: options.Recipe,
    out: options.Out,
    name: options.Name,
    source: Annotated[
        Path | None, typer.Option(help="folder with train/<class>/* and val/<class>/*")
    ] = None,
    settings: options.Settings = [],  # noqa: B006 - typer copies it
    study: options.Study = "by-hand",
    scale: options.Scale = "demo",
    work: options.Work = None,
    code: options.Code = "",
    threads: options.Threads = 1,
) -> None:
    """Turn pictures, embedded or in a folder, into shards that every later stage reads."""
    job, checked = make_job(
        "prepare",
        PrepareRecipe,
        recipe,
        settings,
        study=study,
        scale=scale,
        run=name,
        inputs={"source": source},
        out=out,
        work=work,
        code=code,
        threads=threads,
    )

    from folk.tasks.prepare import run_prepare

    run_job(
        job,
        ["shards", "manifest.parquet", "dataset.json"],
        lambda _live: run_prepare(checked, source, job.work, name),
    )


def split(
    recipe: options.Recipe,
    dataset: options.Dataset,
    out: options.Out,
    name: options.Name,
    list_file: Annotated[
        Path | None, typer.Option("--list", help="file with one picture a line")
    ] = None,
    settings: options.Settings = [],  # noqa: B006
    study: options.Study = "by-hand",
    scale: options.Scale = "demo",
    work: options.Work = None,
    code: options.Code = "",
    threads: options.Threads = 1,
) -> None:
    """Choose the few labelled pictures that a run may see: balanced by class, or from a list."""
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

    from folk.tasks.split import run_split

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

    from folk.tasks.pretrain import pretrain as task
    from folk.training.distributed import open_world

    with open_world(job.threads) as world:
        run_job(
            job,
            ["encoder.safetensors", "encoder.json", "examples.npz", "metrics.jsonl"],
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
    """The command of a stage that measures an encoder; these stages take the same options."""

    def command(
        recipe: options.Recipe,
        encoder: options.Encoder,
        dataset: options.Dataset,
        out: options.Out,
        seed: options.Seed,
        name: options.Name,
        evaluation: options.Evaluation = stage,
        split: options.Split = None,
        settings: options.Settings = [],  # noqa: B006
        study: options.Study = "by-hand",
        scale: options.Scale = "demo",
        work: options.Work = None,
        code: options.Code = "",
        threads: options.Threads = 1,
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

        task = getattr(importlib.import_module(f"folk.tasks.{stage}"), stage)
        with open_world(job.threads) as world:
            run_job(
                job,
                [*predictions, "metrics.jsonl"],
                lambda live: task(
                    checked,
                    encoder=encoder.parent,
                    dataset=dataset.parent,
                    split=split,
                    work=job.work,
                    seed=seed,
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
    ["predictions.parquet"],
    "Train a whole classifier from an encoder, with all labels or a few.",
)
probe = _evaluation(
    "probe",
    ProbeRecipe,
    ["predictions-knn.parquet", "predictions-linear.parquet"],
    "Measure frozen features: nearest neighbours, and a linear classifier.",
)
segment = _evaluation(
    "segment",
    SegmentRecipe,
    ["predictions.parquet"],
    "Transfer an encoder to semantic segmentation with a UperNet decoder.",
)
