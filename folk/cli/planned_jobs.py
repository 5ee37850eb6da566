"""Cost estimates of jobs: from measurements of the same work, else from their requests.

Recipes are read here, so that the package `plan` does not depend on them.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from folk.evidence.plan.figures import BOUND, ESTIMATE, MEASURED, NOT_COUNTED, SCALED, Figure, total
from folk.evidence.plan.graph import Node
from folk.evidence.plan.jobs import PlannedJob
from folk.evidence.plan.measured import Device, Ledger, architecture, work_of
from folk.evidence.study.inputs import CLASSIFIER, ENCODER, PRETRAIN_RECIPE, SPLIT
from folk.evidence.study.study import Study
from folk.stages.prepare import PrepareRecipe
from folk.stages.pretrain import PretrainRecipe
from folk.stages.recipes import recipe_digest
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.provide import archive_paths, folder_of_images

Recipes = Mapping[tuple[str, str], Recipe]
HAS_TORCH = find_spec("torch") is not None  # without it, weights are not counted
BYTES_PER_WEIGHT = 4  # encoders and classifiers are stored in float32


class Planner:
    """Estimator of the costs of one study's jobs."""

    def __init__(self, study: Study, recipes: Recipes, ledger: Ledger) -> None:
        self.study = study
        self.recipes = recipes
        self.ledger = ledger
        self._digests = {key: recipe_digest(recipe) for key, recipe in recipes.items()}
        self._architectures = {
            row: architecture(recipes["pretrain", row].model_dump(mode="json"))
            for row in study.encoders
        }

    def job(self, node: Node) -> PlannedJob:
        """Estimate one job."""
        if node.rule not in self.study.stages or self.study.stages[node.rule].section is None:
            return self._of_the_driver(node)
        stage, run, evaluation = place = self._place(node)
        entry = self.study.entry_name(stage, run, evaluation)
        row = run.rpartition("-s")[0] if self.study.stages[stage].of_runs else None
        asked = self.study.resources_of(stage)
        gpus = asked.nodes * asked.gpu
        threads = asked.nodes * asked.processes_of_node * asked.threads
        device = Device.asked(gpus, threads)
        work = self._work(stage, entry, row)
        own = None if node.needed else self.ledger.own.get((self.study.name, place))
        return PlannedJob(
            name=" ".join(filter(None, place)),
            stage=stage,
            needed=node.needed,
            hours=self._hours(own, work, device, stage, asked.runtime),
            gpus=gpus,
            threads=threads,
            disk=self._disk(own, work, stage, entry, row),
        )

    def fit_of(self, node: Node) -> tuple[str, str, str] | None:
        """Return stage, entry and row of a job of a run, for `Fits.check`; None for any other."""
        if node.rule not in self.study.stages or not self.study.stages[node.rule].of_runs:
            return None
        stage, run, evaluation = self._place(node)
        return stage, self.study.entry_name(stage, run, evaluation), run.rpartition("-s")[0]

    def gpu_hours(self, stage: str, entry: str, row: str) -> Figure:
        """Estimate the GPU-hours of a job of one run, done or not, for any seed."""
        asked = self.study.resources_of(stage)
        return self.hours(stage, entry, row).times(float(asked.nodes * asked.gpu))

    def hours(self, stage: str, entry: str, row: str | None) -> Figure:
        """Estimate the hours of a job, done or not, for any seed; `row` is None without a run."""
        asked = self.study.resources_of(stage)
        return self._hours(
            None, self._work(stage, entry, row), self.device(stage), stage, asked.runtime
        )

    def device(self, stage: str) -> Device:
        """Return what a job of this stage asks for."""
        asked = self.study.resources_of(stage)
        threads = asked.nodes * asked.processes_of_node * asked.threads
        return Device.asked(asked.nodes * asked.gpu, threads)

    def _of_the_driver(self, node: Node) -> PlannedJob:
        """Estimate a job on the driver's machine: tables and the mirror."""
        asked = self.study.resources_of(node.rule) if node.rule in self.study.stages else None
        return PlannedJob(
            name=node.rule,
            stage=node.rule,
            needed=node.needed,
            hours=Figure() if asked is None else Figure.of(asked.runtime / 60, BOUND),
            gpus=0,
            threads=1 if asked is None else asked.threads,
            disk=Figure.of(0.0, NOT_COUNTED),
        )

    def _place(self, node: Node) -> tuple[str, str, str | None]:
        stage = self.study.stages[node.rule]
        evaluation = node.wildcards["evaluation"] if stage.is_evaluation else None
        return stage.name, node.wildcards[stage.wildcard], evaluation

    def _folder(self, name: str) -> str | None:
        recipe = self.recipes["prepare", name]
        assert isinstance(recipe, PrepareRecipe)
        return folder_of_images(self.study.data[name], recipe)

    def _work(self, stage: str, entry: str, row: str | None) -> str:
        """Return the work's digest, see `folk.evidence.plan.measured`."""
        digest = self._digests[stage, entry]
        if stage == "prepare":
            return work_of(stage, digest, source=self._folder(entry))
        read = self.study.reads(stage, entry)
        data = sorted(self._work("prepare", name, None) for name in read)
        inputs = self.study.stages[stage].inputs
        split = self.study.evaluations[entry].split if SPLIT in inputs else None
        transfers = ENCODER in inputs or CLASSIFIER in inputs
        return work_of(
            stage,
            digest,
            data=data,
            split=None if split is None else self._digests["split", split],
            encoder=self._architectures[row] if row and transfers else None,
            pretrain=self._digests["pretrain", row] if row and PRETRAIN_RECIPE in inputs else None,
        )

    def _hours(
        self,
        own: tuple[float | None, float] | None,
        work: str,
        device: Device,
        stage: str,
        runtime: int,
    ) -> Figure:
        if own is not None and own[0] is not None:
            return Figure.of(own[0], MEASURED)
        same = self.ledger.hours_of(work, device)
        if same is not None:
            return Figure.of(same, MEASURED)
        steps = self.ledger.hours_by_steps(work, device) if stage == "pretrain" else None
        return Figure.of(runtime / 60, BOUND) if steps is None else Figure.of(steps, SCALED)

    def _disk(
        self,
        own: tuple[float | None, float] | None,
        work: str,
        stage: str,
        entry: str,
        row: str | None,
    ) -> Figure:
        if own is not None:
            return Figure.of(own[1], MEASURED)
        return total([self._results(work, stage, entry, row), self._kept(stage, entry, row)])

    def _results(self, work: str, stage: str, entry: str, row: str | None) -> Figure:
        """Estimate the size of the results without states kept for a replay."""
        found = self.ledger.bytes_of(work)
        if found is not None:
            return Figure.of(found, MEASURED)
        if stage == "prepare":
            size = _prepared_bytes(self.study, self.recipes, entry)
            return Figure.of(0.0, NOT_COUNTED) if size is None else Figure.of(size, ESTIMATE)
        if row is not None and self.study.stages[stage].leaves_weights and HAS_TORCH:
            weights = _parameters(json.dumps(self._architectures[row]))
            return Figure.of(float(BYTES_PER_WEIGHT * weights), ESTIMATE)
        return Figure.of(0.0, NOT_COUNTED)

    def _kept(self, stage: str, entry: str, row: str | None) -> Figure:
        """Estimate the size of the states that a training keeps for a replay."""
        recipe = self.recipes[stage, entry]
        replay = getattr(getattr(recipe, "runtime", None), "replay", None)
        if row is None or replay is None:
            return Figure()
        if not HAS_TORCH:
            return Figure.of(0.0, NOT_COUNTED)
        if isinstance(recipe, PretrainRecipe):
            from folk.stages.tasks.pretrain import state_size  # torch, as below

            return Figure.of(float(replay.keep * state_size(recipe)), ESTIMATE)
        weights = _parameters(json.dumps(self._architectures[row]))
        # Each weight has two moments, with SGD one.
        return Figure.of(float(replay.keep * 3 * BYTES_PER_WEIGHT * weights), ESTIMATE)


@cache
def _parameters(of_row: str) -> int:
    # Imported here: torch takes seconds, and a measured study does not need it.
    import torch

    from folk.models.encoder import create_encoder

    with torch.device("meta"):  # allocates nothing
        encoder = create_encoder(**json.loads(of_row))
    return sum(parameter.numel() for parameter in encoder.parameters())


def _prepared_bytes(study: Study, recipes: Recipes, name: str) -> float | None:
    """Estimate the size of a prepared data set; None if unknown.

    Shards hold archives' images as they are, so they take what the archives take.
    """
    recipe = recipes["prepare", name]
    assert isinstance(recipe, PrepareRecipe)
    paths = [Path(path) for path in archive_paths(study.data[name], recipe).values()]
    if recipe.scenes is not None:
        scenes = recipe.scenes
        count = scenes.num_train + scenes.num_val + scenes.num_unlabeled
        return 3.0 * count * scenes.size**2
    if paths and all(path.is_file() for path in paths):
        return float(sum(path.stat().st_size for path in paths))
    return None
