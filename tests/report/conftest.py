"""A small study whose results are made up, file by file, so that every number is known."""

import atexit
import dataclasses
import functools
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from folk.evidence.record.schema import record_id
from folk.evidence.report.render import render_report
from folk.evidence.results.cells import SCHEMA, Cell, cells_of, collect_cells
from folk.evidence.results.published import load_published
from folk.evidence.study.study import Study, load_study
from folk.stages.table import STAGES

CLASSES = ["zero", "one", "two", "three", "four"]
SEEDS = (0, 1)
STAGE_OF = {
    **dict.fromkeys(("full", "few-a", "few-b", "few-c"), "finetune"),
    "frozen": "probe",
    "segment": "segment",
}
FEW = ("few-a", "few-b", "few-c")
NUM_VAL = 200
PUBLISHED = Path(__file__).parents[2] / "config" / "published"

STUDY = """
study: toy
title: {title}
scale: {scale}
data: {{scenes: {{recipe: scenes}}}}
splits: {{few: {{data: scenes, recipe: few}}}}
encoders:
  scratch: {{label: from scratch, recipe: scratch, data: scenes, seeds: [0, 1]}}
  mfm: {{label: MFM, recipe: mfm, data: scenes, seeds: [0, 1]}}
  mfm-com: {{label: "MFM + Com/RCom", recipe: mfm-com, data: scenes, seeds: [0, 1]}}
  folk: {{label: {label}, recipe: folk, data: scenes, seeds: [0, 1]}}
evaluations:
  full: {{stage: finetune, recipe: full, data: scenes}}
  few-a: {{stage: finetune, recipe: few-a, data: scenes, split: few}}
  few-b: {{stage: finetune, recipe: few-b, data: scenes, split: few}}
  few-c: {{stage: finetune, recipe: few-c, data: scenes, split: few}}
  frozen: {{stage: probe, recipe: frozen, data: scenes}}
  segment: {{stage: segment, recipe: upernet, data: scenes}}
tables:
  finetune:
    title: Full fine-tuning
    caption: All labels of the training images, the whole network trained.
    reproduces: FOLK Table 1
    rows: [scratch, mfm, mfm-com, folk]
    columns:
      top1: {{label: top-1 %, evaluation: full, metric: top1_last}}
      top5: {{label: top-5 %, evaluation: full, metric: top5_last}}
      miou: {{label: mIoU %, evaluation: segment, metric: miou}}
    published:
      mfm/top1: folk-t1-mfm-300-vitb
      mfm-com/top1: folk-t1-mfm-com-300-vitb
      folk/top1: folk-t1-folk-300-vitb
  few:
    title: Few labels
    caption: Ten labels of each class; three settings of rate and warm-up.
    reproduces: FOLK Table 2
    rows: [scratch, mfm, mfm-com, folk]
    columns:
      a: {{label: A, evaluation: few-a, metric: top1_last}}
      b: {{label: B, evaluation: few-b, metric: top1_last}}
      c: {{label: C, evaluation: few-c, metric: top1_last}}
      avg: {{label: AVG, evaluations: [few-a, few-b, few-c], metric: top1_last, combine: mean}}
      max: {{label: MAX, evaluations: [few-a, few-b, few-c], metric: top1_last, combine: max}}
    published:
      mfm/a: folk-t2-mfm-300-2e-4-0
      mfm/avg: folk-t2-mfm-300-avg
      mfm/max: folk-t2-mfm-300-max
      mfm-com/avg: folk-t2-mfm-com-300-avg
      mfm-com/max: folk-t2-mfm-com-300-max
      folk/a: folk-t2-folk-300-2e-4-0
      folk/b: folk-t2-folk-300-2e-4-100
      folk/c: folk-t2-folk-300-2e-3-5
      folk/avg: folk-t2-folk-300-avg
      folk/max: folk-t2-folk-300-max
  frozen:
    title: Frozen features
    rows: [scratch, mfm, mfm-com, folk]
    columns:
      knn: {{label: k-NN %, evaluation: frozen, metric: knn_top1_k20}}
      linear: {{label: linear %, evaluation: frozen, metric: linear_top1_last}}
      speed: {{label: images/s, evaluation: full, metric: images_per_second, percent: false}}
claims:
  order-full:
    says: "MFM < MFM + Com/RCom < FOLK"
    order: [finetune/mfm/top1, finetune/mfm-com/top1, finetune/folk/top1]
    source: folk-order-t1-vitb
  gain-com-few:
    says: Com/RCom filters add 10.7 points with few labels
    difference: {{of: few/mfm-com/avg, over: few/mfm/avg}}
    published: folk-delta-few-com
  no-gain:
    says: no gain over training from scratch
    equal: {{of: finetune/mfm/top1, to: finetune/scratch/top1, margin: 4.0}}
"""

# Correct predictions out of 200, by row: full, few-a, few-b, few-c, k-NN, linear.
HITS = {
    "scratch": (166, 84, 80, 60, 24, 38),
    "mfm": (164, 60, 72, 44, 30, 52),
    "mfm-com": (170, 70, 76, 50, 40, 66),
    "folk": (178, 112, 96, 88, 78, 104),
}


@dataclass(frozen=True)
class Tree:
    """A made-up results folder with its study."""

    study: Study
    study_path: Path
    results: Path
    published: Path

    def render(self) -> tuple[list[Path], str]:
        """Write the report; gives the files written and the text of the page."""
        written = render_report(self.study, self.study_path, self.results, self.published, {})
        return written, self.page

    def rewrite(self, old: str, new: str) -> "Tree":
        """Replace a text of the study file that must be there; gives the tree as it is then."""
        text = self.study_path.read_text(encoding="utf-8")
        assert old in text, old
        self.study_path.write_text(text.replace(old, new), encoding="utf-8")
        return dataclasses.replace(self, study=load_study(self.study_path, STAGES))

    def cells(self, **options: Any) -> dict[str, Cell]:
        """Collect the cells of the results as they are, by name."""
        table = collect_cells(self.study, self.results, load_published(self.published), **options)
        return {cell.id: cell for cell in cells_of(table)}

    @property
    def page(self) -> str:
        """The page as it was rendered last."""
        return (self.results / "report.html").read_text(encoding="utf-8")

    def predict(self, folder: str, hits: int) -> None:
        """Replace the predictions and metrics of a fine-tuning: so many of 200 are right."""
        write_classification(self.results / folder, "", "top{}_last", hits)

    def prepare(self, classes: list[str]) -> None:
        """Replace the data set by one with these classes."""
        shutil.rmtree(self.results / "prepare")
        write_data(self.results / "prepare" / "scenes", classes)


def made_cell(row: str, column: str, values: list[float], **known: Any) -> Cell:
    """A cell of the table `main`, of runs with these numbers; what is not known is empty."""
    texts = ("formula", "note", *(f.name for f in SCHEMA if f.name.startswith("printed")))
    lists = ("finetune_seeds", "parents", "parent_ids", "printed_seeds")
    empty: dict[str, Any] = {field.name: None for field in SCHEMA} | dict.fromkeys(texts, "")
    empty |= {name: [] for name in lists} | {"quoted": False, "metric": "top1_last", "unit": "%"}
    place = {"id": f"main/{row}/{column}", "table": "main", "row": row, "column": column}
    runs = {"seeds": list(range(len(values))), "seed_values": values, "n": len(values)}
    mean = float(np.mean(values)) if values else None
    return Cell(**empty | place | runs | {"value": mean} | known)


@functools.cache
def pattern() -> Path:
    """The results, made once: copying small files is quicker than writing parquet again."""
    folder = Path(tempfile.mkdtemp(prefix="folk-report-"))
    atexit.register(shutil.rmtree, folder)
    fill(folder)
    return folder


def build(
    folder: Path, *, title: str = "Toy study", label: str = "FOLK", scale: str = "demo"
) -> Tree:
    """Make the whole tree in `folder`."""
    path = folder / "toy.yaml"
    words = {"title": json.dumps(title), "label": json.dumps(label), "scale": scale}
    path.write_text(STUDY.format(**words), encoding="utf-8")
    shutil.copytree(pattern(), folder / "results" / "toy")
    for record in (folder / "results" / "toy").glob("**/record.json"):
        made = json.loads(record.read_text()) | {"study": "toy", "scale": scale}
        record.write_text(json.dumps(made | {"id": record_id(made)}))
    return Tree(load_study(path, STAGES), path, folder / "results" / "toy", PUBLISHED)


@pytest.fixture
def published_path() -> Path:
    return PUBLISHED


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[..., Tree]:
    """Build the tree; keywords fill the study's title, label and scale."""
    return functools.partial(build, tmp_path)


@pytest.fixture
def tree(make_tree: Callable[..., Tree]) -> Tree:
    return make_tree()


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A tree, for tests that only read it, with its report rendered."""
    made = build(tmp_path_factory.mktemp("untouched"))
    made.render()
    return made


def fill(results: Path) -> None:
    write_data(results / "prepare" / "scenes", CLASSES)
    for row, hits in HITS.items():
        for seed in SEEDS:
            run = f"{row}-s{seed}"
            write_pretraining(results / "pretrain" / run, row)
            for evaluation, hit in zip(("full", *FEW), hits, strict=False):
                folder = results / "finetune" / run / evaluation
                write_classification(folder, "", "top{}_last", hit + 2 * seed)
                extra = {"num_train": 1400 if evaluation == "full" else 140, "top1_best": 0.99}
                add_metrics(folder, extra | {"images_per_second": 1234.5 + seed})
                write_beside(folder, run, evaluation, {"optim.layer_decay": "as MFM's ViT-B"})
            folder = results / "probe" / run / "frozen"
            write_classification(folder, "-knn", "knn_top{}_k20", hits[4] + seed, "20")
            write_classification(folder, "-linear", "linear_top{}_last", hits[5] + seed)
            write_beside(folder, run, "frozen", {})
            folder = results / "segment" / run / "segment"
            write_segmentation(folder, hits[5] + seed)
            write_beside(folder, run, "segment", {})


def add_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "metrics.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(before | metrics))


def write_classification(
    folder: Path, suffix: str, metric: str, hits: int, variant: str | None = None
) -> None:
    """Predictions with `hits` of 200 right at once and ten more in the top five."""
    labels = np.arange(NUM_VAL, dtype=np.int32) % 10
    ranks = np.where(np.arange(NUM_VAL) < hits, 0, np.where(np.arange(NUM_VAL) < hits + 10, 3, 9))
    top5 = np.stack([(labels - ranks + place) % 10 for place in range(5)], axis=1)
    images = {"key": [f"val/{i:05d}" for i in range(NUM_VAL)], "label": labels}
    if variant is not None:
        columns = {"variant": [variant] * NUM_VAL, **images, "predicted": top5[:, 0]}
    else:
        zeros = np.zeros(5 * NUM_VAL, np.float32)
        columns = {
            **images,
            "top5": pa.FixedSizeListArray.from_arrays(top5.astype(np.int32).ravel(), 5),
            "probability": pa.FixedSizeListArray.from_arrays(zeros, 5),
        }
    table = pa.table(columns)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"predictions{suffix}.parquet")
    numbers = {metric.format(1): hits / NUM_VAL, metric.format(5): (hits + 10) / NUM_VAL}
    add_metrics(folder, numbers)


def write_segmentation(folder: Path, hits: int) -> None:
    """Two images, two classes: IoU is hits / (200 + wrong) for both."""
    wrong = NUM_VAL - hits
    confusion = [[hits, wrong, wrong, hits]] * 2
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"key": ["val/0", "val/1"], "confusion": confusion})
    pq.write_table(
        table.replace_schema_metadata({"num_classes": "2"}), folder / "predictions.parquet"
    )
    miou = hits / (hits + 2 * wrong)
    add_metrics(folder, {"miou": miou, "macc": hits / NUM_VAL, "aacc": hits / NUM_VAL})


def write_beside(folder: Path, run: str, evaluation: str | None, assume: dict[str, str]) -> None:
    """The record and the resolved recipe that stand beside results."""
    seed = int(run.rpartition("-s")[2]) if "-s" in run else None
    path, numbers = folder / "metrics.json", {}
    if path.is_file():
        numbers = json.loads(path.read_text())
    record = {
        "format": 1,
        "study": "toy",
        "stage": STAGE_OF.get(evaluation or "", "pretrain" if seed is not None else "prepare"),
        "run": run,
        "evaluation": evaluation,
        "scale": "demo",
        "smoke": False,
        "seed": seed,
        "outcome": "finished",
        "error": None,
        "started": "2026-01-02T03:04:04.000000Z",
        "ended": "2026-01-02T03:04:05.000000Z",
        "seconds": 1.0,
        "argv": ["python"],
        "recipe": {"encoder": {"checkpoint": "theirs"}, "assume": assume},
        "recipe_digest": "d",
        "code": {
            "fingerprint": "c" * 64,
            "commit": "c0ffee" * 6 + "abcd",
            "dirty": False,
            "dirty_diff_sha256": None,
        },
        "environment": {
            "python": "3.12",
            "packages": {},
            "lock_sha256": "ab" * 32,
            "platform": "Linux",
            "variables": {},
        },
        "hardware": {"host": "h", "cpu": "a CPU", "cores": 1, "memory_bytes": 1, "gpus": []},
        "scheduler": None,
        "inputs": [],
        "outputs": [],
        "metrics": numbers,
        "restarts": [],
        "parents": [],
    }
    (folder / "record.json").write_text(json.dumps(record | {"id": record_id(record)}))
    lines = ["optim: {layer_decay: 0.8}", "filter: {thresholds: [0.005, 0.01, 0.05]}"]
    lines += [f"assume: {json.dumps(assume)}"] if assume else []
    (folder / "recipe.yaml").write_text("\n".join(lines) + "\n")


def write_pretraining(folder: Path, row: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"folk": ("reconstruction", "distillation"), "scratch": ()}.get(
        row, ("reconstruction",)
    )
    wobble = np.random.default_rng(len(folder.name) + int(folder.name[-1])).normal(size=60)
    with (folder / "metrics.jsonl").open("w") as lines:
        for step in range(60 if parts else 0):
            entry = {"step": step, "epoch": step / 4, "time": 0.0, "lr": 1e-3}
            for part in parts:
                start = 5.5 if part == "distillation" else 0.4
                decay = 0.5 + 0.5 * np.exp(-step / 15) + 0.01 * wobble[step]
                entry[f"loss/{part}"] = float(start * decay)
            lines.write(json.dumps(entry | {"loss": 1.0}) + "\n")
    assume = {"filter.thresholds": "three values named by a reviewer; drawn uniformly"}
    write_beside(folder, folder.name, None, assume if row in ("folk", "mfm-com") else {})


def write_data(folder: Path, classes: list[str]) -> None:
    rows: dict[str, list[Any]] = {"key": [], "label": [], "image": [], "annotation": []}
    rng = np.random.default_rng(0)
    for index in range(20):
        label = index % len(classes)
        image = rng.integers(0, 80, (32, 32, 3), dtype=np.uint8)
        image[8:24, 4 + 5 * label : 9 + 5 * label] = 230
        out = io.BytesIO()
        Image.fromarray(image).save(out, format="PNG")
        for name, value in zip(rows, (f"train/{index}", label, out.getvalue(), None), strict=True):
            rows[name].append(value)
    (folder / "shards").mkdir(parents=True)
    table = pa.table(rows).cast(
        pa.schema(
            [
                ("key", pa.string()),
                ("label", pa.int32()),
                ("image", pa.binary()),
                ("annotation", pa.binary()),
            ]
        )
    )
    with pa.ipc.new_file(folder / "shards" / "train-00000.arrow", table.schema) as writer:
        writer.write_table(table)
    about = {"classes": classes, "shards": {"train-00000.arrow": {"rows": 20}}}
    (folder / "dataset.json").write_text(json.dumps(about))
    write_beside(folder, folder.name, None, {})
    (folder / "recipe.yaml").unlink()
