"""What the papers' size costs: GPU-hours of each table of the paper study, worked out.

    .venv/bin/python -m tests.bench paper

The arithmetic of each kind of step is counted from the models that take it, on two images of the
recipe's shape; epochs and images are the study's. Hours come from the share of
an H200's peak that `make gpu-check` measured for the same step, else from `ASSUMED`. Reading, which
may be the limit, is not in them; see `docs/performance.md`.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from folk.evidence.study.study import Evaluation, Study, load_study, run_name
from folk.models.encoder import create_encoder
from folk.models.segmenter import Segmenter
from folk.stages.finetune import FinetuneRecipe
from folk.stages.pretrain import PretrainRecipe
from folk.stages.probe import ProbeRecipe
from folk.stages.recipes.named import recipes_of
from folk.stages.robustness import RobustnessRecipe
from folk.stages.segment import Decoder, SegmentRecipe
from folk.stages.table import STAGES
from folk.stages.tasks.pretrain import build_method
from folk.training.meter import count_flops
from tests.bench.measure import Row

STUDY = Path("config/paper.yaml")
# Of the peak below: compiled steps of `results/bench/gpu.json`, by encoder and whether FOLK or MFM.
MEASURED = {
    ("vit_base_patch16_224", True): 0.35,
    ("vit_base_patch16_224", False): 0.28,
    ("vit_small_patch16_224", True): 0.18,
    ("vit_small_patch16_224", False): 0.11,
}
ASSUMED = 0.28  # for everything else: no step of ResNet-50, no evaluation and no fp32 was measured
PEAK = {"bf16": 989e12, "fp32": 67e12}  # operations a second; NVIDIA's data sheet of the H200 SXM
BATCH = 2
# Images as their makers count them.
TRAIN = 1_281_167  # of ImageNet
VAL = {
    "imagenet": 50_000,
    "ade20k": 2_000,
    "imagenet-c": 75 * 50_000,
    "c-bar": 50 * 50_000,
    "imagenet-a": 7_500,
    "imagenet-r": 30_000,
    "imagenet-sketch": 50_889,
    "imagenet-v2": 10_000,
}
LABELED = {"ten-percent": 128_116, "one-percent": 12_811}
CLASSES = 150  # of ADE20K
BACKWARD = 3  # a step costs as much as so many forward passes

Job = tuple[str, str]  # stage or evaluation, and run


def rows() -> list[Row]:
    """A row for each table, with all that it needs, and one for the whole study."""
    hours = Hours(load_study(STUDY, STAGES))
    study = hours.study
    found = []
    for name, table in study.tables.items():
        jobs = {job for column in table.columns.values() for job in hours.jobs(table.rows, column)}
        if jobs:
            found.append(_row(name, hours, jobs))
    whole = {
        job
        for name in study.evaluations
        for row in study.rows_of(name)
        for job in hours.of_evaluation(name, row)
    }
    return [*found, _row("all of it", hours, whole | hours.pretrainings(study.encoders))]


def _row(name: str, hours: "Hours", jobs: set[Job]) -> Row:
    training = sum(hours.of(job) for job in jobs if job[0] == "pretrain")
    measured = sum(hours.of(job) for job in jobs if hours.is_measured(job))
    total = sum(hours.of(job) for job in jobs)
    note = (
        f"{training:,.0f} of them pre-training; {measured:,.0f} at a measured rate; "
        f"{total / 8:,.0f} h of 8 GPUs"
    )
    return Row(f"paper study, {name}", "", "GPU-h", [total], note=note)


class Hours:
    """GPU-hours of the jobs of a study, by arithmetic."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.recipes: dict[tuple[str, str], Any] = dict(recipes_of(study, STUDY))
        self._steps: dict[str, float] = {}  # operations, by what decides them

    def jobs(self, table_rows: Iterable[str], column: Any) -> set[Job]:
        """What a column of a table needs for these rows."""
        return {
            job
            for name in column.evaluations
            for row in table_rows
            if row in self.study.rows_of(name)
            for job in self.of_evaluation(name, row)
        }

    def of_evaluation(self, name: str, row: str) -> set[Job]:
        """An evaluation of all seeds of a row, and what it reads."""
        evaluation = self.study.evaluations[name]
        if evaluation.stage == "cost":  # reads a recipe and no encoder; takes minutes
            return set()
        before = evaluation.classifier
        found = self.pretrainings([row]) | {(name, run) for run in self._runs(row)}
        return found | (set() if before is None else self.of_evaluation(before, row))

    def pretrainings(self, table_rows: Iterable[str]) -> set[Job]:
        """The pre-trainings of all seeds of these rows."""
        return {("pretrain", run) for row in table_rows for run in self._runs(row)}

    def _runs(self, row: str) -> list[str]:
        return [run_name(row, seed) for seed in self.study.encoders[row].seeds]

    def of(self, job: Job) -> float:
        """GPU-hours of one job."""
        stage, run = job
        row = run.rpartition("-s")[0]
        recipe = self.recipes["pretrain", row]
        if stage == "pretrain":
            return self._pretraining(recipe)
        evaluation = self.study.evaluations[stage]
        measure: Callable[[Evaluation, Any, PretrainRecipe], tuple[float, str]] = {
            "finetune": _finetuning,
            "probe": _probing,
            "segment": _segmenting,
            "robustness": _robustness,
        }[evaluation.stage]
        flops, precision = measure(evaluation, self.recipes[evaluation.stage, stage], recipe)
        return _hours(flops, precision, ASSUMED)

    def is_measured(self, job: Job) -> bool:
        """Whether the speed of this kind of step was measured on a GPU."""
        stage, run = job
        recipe = self.recipes["pretrain", run.rpartition("-s")[0]]
        return stage == "pretrain" and _kind(recipe) in MEASURED

    def _pretraining(self, recipe: PretrainRecipe) -> float:
        if recipe.method is None or recipe.optim is None:
            return 0.0
        heads = (recipe.method.distillation, recipe.method.reconstruction.decoder_depth)
        shape = repr((recipe.encoder, recipe.views.size, heads))
        if shape not in self._steps:
            self._steps[shape] = _step(recipe)
        images = TRAIN * recipe.optim.epochs
        share = MEASURED.get(_kind(recipe), ASSUMED)
        return _hours(self._steps[shape] * images, recipe.optim.precision, share)


def _kind(recipe: PretrainRecipe) -> tuple[str, bool]:
    has_teacher = recipe.method is not None and recipe.method.distillation is not None
    return recipe.encoder.timm_name, has_teacher


def _hours(flops: float, precision: str, share: float) -> float:
    return flops / (share * PEAK[precision]) / 3600


def _finetuning(
    evaluation: Evaluation, recipe: FinetuneRecipe, row: PretrainRecipe
) -> tuple[float, str]:
    shown = TRAIN if evaluation.split is None else LABELED[evaluation.split]
    times = -(-recipe.optim.epochs // recipe.evaluate_every)
    training = BACKWARD * _forward(row, recipe.augment.size) * shown * recipe.optim.epochs
    measuring = _forward(row, recipe.evaluate.crop) * VAL["imagenet"] * times
    return training + measuring, recipe.optim.precision


def _probing(evaluation: Evaluation, recipe: ProbeRecipe, row: PretrainRecipe) -> tuple[float, str]:
    shown = TRAIN if evaluation.split is None else LABELED[evaluation.split]
    crops = recipe.linear.epochs if recipe.linear.views == "crops" else 0
    images = shown * (1 + crops) + VAL["imagenet"]
    neighbors = 2 * shown * VAL["imagenet"] * _width(row) if recipe.knn is not None else 0
    return _forward(row, recipe.evaluate.crop) * images + neighbors, recipe.precision


def _segmenting(
    evaluation: Evaluation, recipe: SegmentRecipe, row: PretrainRecipe
) -> tuple[float, str]:
    whole = _segmenter(
        row.encoder.timm_name,
        json.dumps(row.encoder.timm_args),
        recipe.augment.crop,
        recipe.decoder.model_dump_json(),
    )
    training = BACKWARD * whole * recipe.optim.updates * recipe.optim.batch
    windows = 2  # of an image whose shorter side is the window's, 4 : 3 or 3 : 2
    return training + whole * windows * VAL["ade20k"], recipe.optim.precision


def _robustness(
    evaluation: Evaluation, recipe: RobustnessRecipe, row: PretrainRecipe
) -> tuple[float, str]:
    images = sum(VAL[name] for name in evaluation.data)
    if recipe.attack is not None:  # a gradient for FGSM and for each step of PGD, and both measured
        images += VAL["imagenet"] * ((1 + recipe.attack.pgd_steps) * BACKWARD + 2)
    return _forward(row, recipe.evaluate.crop) * images, recipe.precision


@cache
def _features(timm_name: str, timm_args: str) -> int:
    return int(create_encoder(timm_name, json.loads(timm_args)).num_features)  # type: ignore[arg-type]


def _width(row: PretrainRecipe) -> int:
    return _features(row.encoder.timm_name, json.dumps(row.encoder.timm_args))


def _forward(row: PretrainRecipe, size: int) -> float:
    return _forward_of(row.encoder.timm_name, json.dumps(row.encoder.timm_args), size)


@cache
def _forward_of(timm_name: str, timm_args: str, size: int) -> float:
    """Operations of a forward pass of one image."""
    encoder = create_encoder(timm_name, _at(size, timm_name, timm_args)).eval()
    with torch.no_grad():
        return count_flops(lambda: encoder(torch.rand(BATCH, 3, size, size))) / BATCH


@cache
def _segmenter(timm_name: str, timm_args: str, size: int, decoder: str) -> float:
    """Operations of a forward pass of encoder, decoder and auxiliary head, of one image."""
    said = Decoder.model_validate_json(decoder)
    encoder = create_encoder(timm_name, _at(size, timm_name, timm_args))
    model = Segmenter(
        encoder,
        CLASSES,
        said.blocks,
        said.channels,
        dropout=said.dropout,
        auxiliary_channels=said.auxiliary_channels if said.auxiliary_weight > 0.0 else None,
    ).eval()
    with torch.no_grad():
        return count_flops(lambda: model(torch.rand(BATCH, 3, size, size))) / BATCH


def _step(recipe: PretrainRecipe) -> float:
    """Operations of a whole pre-training step, of one image: filters and optimizers have none."""
    assert recipe.method is not None
    encoder = create_encoder(recipe.encoder.timm_name, recipe.encoder.timm_args)
    method = build_method(recipe.method, encoder).train()
    size = recipe.views.size
    views = [torch.rand(BATCH, 3, size, size) for _ in range(method.num_views)]
    # A mask of any kind counts no operation.
    keep = torch.ones(BATCH, 1, size, size // 2 + 1, dtype=torch.bool)
    corrupted = views if recipe.method.filter is None else [keep] * method.num_views
    scheduled = method.scheduled(epoch=0)
    return count_flops(lambda: method(views, corrupted, **scheduled)["loss"].backward()) / BATCH


def _at(size: int, timm_name: str, timm_args: str) -> dict[str, Any]:
    """Arguments of an encoder for images of this side; a ResNet takes any."""
    args: dict[str, Any] = json.loads(timm_args)
    return args if timm_name.startswith("resnet") else args | {"img_size": size}
