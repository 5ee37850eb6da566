"""A study of two seeds and two evaluations, made by hand and small, with records of its own."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folk.evidence.audit.chain import Chain
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.explanation import Explanation
from folk.evidence.audit.file_states import Reading
from folk.evidence.audit.today import RecipeToday, Today
from folk.evidence.core.digest import digest_file
from folk.evidence.record.fingerprint import code_fingerprint
from folk.evidence.results.cells import collect_cells, read_cells, write_cells
from folk.evidence.results.claims import judge_claims, read_claims, write_claims
from folk.evidence.results.metrics.classification import write_predictions
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.toy import opened, write_published

RESULTS = Path("results/toy")
CELLS = RESULTS / "cells.parquet"
CLAIMS = RESULTS / "claims.parquet"
PUBLISHED = Path("config/published")
STUDY = """
study: toy
title: Toy
scale: demo
data: {scenes: {recipe: demo}}
encoders:
  mfm: {label: MFM, recipe: demo, data: scenes, seeds: [0, 1]}
  late: {label: Late, recipe: demo, data: scenes, seeds: [0]}
evaluations:
  full: {stage: finetune, recipe: demo, data: scenes}
  few: {stage: finetune, recipe: demo, data: scenes}
tables:
  main:
    title: Main
    rows: [mfm, late]
    columns:
      full: {label: full, evaluation: full, metric: top1_last}
      max: {label: MAX, evaluations: [full, few], metric: top1_last, combine: max}
      best: {label: best, evaluation: full, metric: top1_best}
      speed: {label: images/s, evaluation: full, metric: images_per_second, percent: false}
    published: {mfm/full: paper-full}
    context:
      dino: {label: DINO, cells: {full: paper-full}}
claims:
  rises: {says: the best of two is not lower, order: [main/mfm/full, main/mfm/max]}
"""
NUMBERS = """
certainty: {code: read in the official code}
papers: {mfm: {title: MFM, authors: they, venue: ICLR 2023, arxiv: "2206.07706"}}
numbers:
  - {id: paper-full, paper: mfm, table: Table 1, row: ours, column: top-1, metric: top1, unit: "%",
     printed: "83.1", value: 83.1, margin: 0.2, certainty: code, source: their README}
"""
TOLD = {"optim": {"epochs": 3}}
RECIPE = TOLD | {"assume": {"optim.epochs": "as the demo's"}, "runtime": {"a": 1}}


@dataclass
class Toy:
    """The study in the current folder; everything of it may be changed."""

    recipe: dict[str, Any]  # what the recipe files say today

    def explainer(self, reading: Reading = "all") -> Explainer:
        """Look at the study anew."""
        study = load_study(Path("config/toy.yaml"), STAGES)
        of_file = {"optim": {"epochs": 30}}
        recipes = {
            (str(stage), name): RecipeToday(
                f"config/recipes/{stage}/demo.yaml", self.recipe, of_file, None, None, {}
            )
            for stage, name, _ in study.entries()
        }
        return Explainer(
            Chain(RESULTS),
            study,
            read_cells(CELLS),
            load_published(PUBLISHED),
            Today(recipes),
            reading,
            claims=read_claims(CLAIMS),
        )

    def explain(self, cell: str, reading: Reading = "all") -> Explanation:
        """Explain one cell."""
        return self.explainer(reading).explain(cell)

    def tabulate(self) -> None:
        """Write cells.parquet and claims.parquet from what the results are now."""
        study, published = load_study(Path("config/toy.yaml"), STAGES), load_published(PUBLISHED)
        write_cells(collect_cells(study, RESULTS, published), CELLS)
        write_claims(judge_claims(study, read_cells(CELLS), published), CLAIMS)


def do(
    stage: str,
    run: str,
    inputs: Mapping[str, Path],
    write: Callable[[Path], dict[str, float]],
    evaluation: str | None = None,
    seed: int | None = None,
    recipe: Mapping[str, Any] = RECIPE,
    finetune_seed: int | None = None,
) -> None:
    """Do a job: what `write` leaves in a folder is published with metrics.json and a record."""
    place = Path(stage, run, evaluation or "")
    code = code_fingerprint(f"folk.stages.{stage}", Path())
    with opened(
        stage, run, evaluation, study="toy", recipe=recipe, seed=seed,
        inputs=inputs, code=code, finetune_seed=finetune_seed,
    ) as record:  # fmt: skip
        work = record.work
        metrics = write(work)
        (work / "metrics.json").write_text(json.dumps(metrics))
        made = [p for p in work.iterdir() if not p.name.startswith("record")]
        moves = {path: RESULTS / place / path.name for path in made}
        outputs = {path.name: path for path in moves.values()}
        record.finish(outputs, metrics, RESULTS / place / "record.json", moves)


def prepare(archive_md5: str | None) -> None:
    """Prepare the data set from an archive whose makers publish this md5."""
    files = {"images": {"file": "images.tar", "md5": archive_md5}}
    recipe = RECIPE | {"archive": {"files": files}}

    def write(work: Path) -> dict[str, float]:
        (work / "dataset.json").write_text('{"shards": {}, "classes": []}')
        (work / "manifest.parquet").write_text("images")
        return {}

    do("prepare", "scenes", {"archive images": Path("images.tar")}, write, recipe=recipe)


def pretrain(run: str, seed: int, stop: bool = False) -> None:
    """Pre-train an encoder, or be stopped by the scheduler on the way."""

    def write(work: Path) -> dict[str, float]:
        if stop:
            (work / "progress.json").write_text(json.dumps({"step": 7}))
            raise KeyboardInterrupt
        (work / "progress.json").unlink(missing_ok=True)
        (work / "encoder.safetensors").write_text(f"weights of {run}")
        return {"loss": 0.5}

    do("pretrain", run, {"dataset": RESULTS / "prepare/scenes/dataset.json"}, write, seed=seed)


def finetune(
    run: str, evaluation: str, seed: int, hits: int, finetune_seed: int | None = None
) -> None:
    """Fine-tune: so many of 20 images are named rightly."""

    def write(work: Path) -> dict[str, float]:
        predict(work, hits)
        return {"top1_last": hits / 20, "top1_best": 0.9, "images_per_second": 50.0 + seed}

    inputs = {
        "encoder": RESULTS / "pretrain" / run / "encoder.safetensors",
        "dataset": RESULTS / "prepare/scenes/dataset.json",
    }
    do("finetune", run, inputs, write, evaluation, seed, finetune_seed=finetune_seed)


def predict(folder: Path, hits: int, images: int = 20) -> None:
    """Write predictions of these images with so many right."""
    labels = np.zeros(images, dtype=np.int64)
    right = np.arange(images) < hits
    logits = np.stack([right, ~right], axis=1).astype(np.float64)
    keys = [f"val/{i}" for i in range(images)]
    write_predictions(folder / "predictions.parquet", keys, labels, logits)


def scaffold(study: str, numbers: str) -> None:
    """Write what a study is made from: code, study file, published numbers, lock and archive."""
    for module in (
        *(Path(f"folk/stages/{stage}.py") for stage in ("prepare", "pretrain", "finetune")),
        Path("folk/cli/report.py"),
    ):
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"STAGE = '{module.stem}'\n")
    for package in ("folk", "folk/stages"):
        Path(package, "__init__.py").write_text("")
    Path("config").mkdir()
    Path("config/toy.yaml").write_text(study)
    write_published(PUBLISHED, numbers)
    Path("requirements.lock").write_text("torch==2\n")
    Path("images.tar").write_text("images")


def fill() -> None:
    """Make the study in the current folder."""
    scaffold(STUDY, NUMBERS)
    prepare(digest_file(Path("images.tar")).md5)
    for number, node in enumerate(("node1", "node2")):
        slurm = {
            "SLURM_JOB_ID": str(number),
            "SLURMD_NODENAME": node,
            "WORLD_SIZE": str(2 - number),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in slurm.items():
                patch.setenv(name, value)
            if number == 0:
                with pytest.raises(KeyboardInterrupt):
                    pretrain("mfm-s0", 0, stop=True)
            else:
                pretrain("mfm-s0", 0)
    pretrain("mfm-s1", 1)
    for run, seed, full, few in (("mfm-s0", 0, 10, 12), ("mfm-s1", 1, 14, 9)):
        finetune(run, "full", seed, full)
        finetune(run, "few", seed, few)
    Toy(dict(TOLD)).tabulate()


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, made once: copying is quicker."""
    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill()
    return folder


@pytest.fixture
def toy(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The finished study; its row `late` was never run, one pre-training was stopped once."""
    shutil.copytree(pattern, tmp_path / "toy")
    monkeypatch.chdir(tmp_path / "toy")
    return Toy(dict(TOLD))


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows of two seeds, finished and sealed."""
    from tests.audit.many_runs import fill  # which takes its jobs from here

    folder = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill(2, 2)
    return folder


@pytest.fixture
def study(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the honest study, which is the current folder."""
    shutil.copytree(honest, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
