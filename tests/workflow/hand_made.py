"""Results of a study made by hand: true records of files that mean nothing, in a second."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from folk.cli.workflow import Jobs
from folk.evidence.audit.plan import Planned, planned_jobs
from folk.evidence.audit.stale import shown_values
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.yaml_model import Document
from folk.evidence.record.failures import record_paths
from folk.evidence.record.fingerprint import code_fingerprint
from folk.evidence.record.record import open_record
from folk.evidence.results.published import published_files
from folk.stages.recipes import recipe_digest
from folk.stages.table import STAGES
from tests.toy import command

# Every kind of stage once; the images are those that `give_sources` writes.
STUDY = """
study: mine
title: A study by hand
scale: demo
code_change: {default: rerun, pretrain: report, cost: report}
data:
  pics: {recipe: image-folder, source: data/pics}
splits:
  few: {data: pics, recipe: demo-few, set: {per_class: 1}}
encoders:
  scratch: {label: from scratch, recipe: demo-scratch, data: pics, seeds: [0]}
  folk: {label: FOLK, recipe: demo-folk, data: pics, seeds: [0]}
evaluations:
  full: {stage: finetune, recipe: demo-full, data: pics}
  robust: {stage: robustness, recipe: demo, data: pics, classifier: full}
  frozen: {stage: probe, recipe: demo, data: pics, set: {linear.epochs: 3}}
  cost: {stage: cost, recipe: demo, data: pics, encoders: [folk]}
"""
PICS = Path("data/pics")
IMAGES = [f"{split}/{cls}/{i}.jpg" for split in ("train", "val") for cls in "ab" for i in range(2)]


def give_sources() -> None:
    """Write the folder of images; nobody decodes them."""
    for key in IMAGES:
        (PICS / key).parent.mkdir(parents=True, exist_ok=True)
        (PICS / key).write_text(f"image {key}")


def make_by_hand(study_file: Path) -> None:
    """Make all results of a study in the current folder, as if its jobs had run one by one."""
    jobs = Jobs(Document(study_file), lambda path: path, lambda _: None)
    jobs.keep_study()
    for job in planned_jobs(jobs.study, jobs.results):
        _make(jobs, job)
    kept, published = jobs.study_file, published_files(Path("config/published"))
    shown = shown_values(jobs.study)
    others = {"study": kept, **{f"published {path.name}": path for path in published}}
    pages = ["cells.parquet", "claims.parquet", "claims.md", "assumptions.md", "report.html"]
    pages += ["tables/numbers.tex"]
    _read(jobs, "report", shown, others, pages)
    _read(jobs, "track", {}, {}, ["tracked.json"])


def _make(jobs: Jobs, job: Planned) -> None:
    stage, recipe = STAGES[job.stage], jobs.recipes[job.stage, job.entry]
    entry = jobs.study.entry(job.stage, job.entry)
    inputs = {"source": PICS} if job.stage == "prepare" else {}
    for given in stage.inputs:
        for place in given.places(jobs.study, job.run, entry):
            inputs |= given.recorded(f"{jobs.results}/{place}")
    place = job.folder.relative_to(jobs.results)
    evaluation = job.entry if stage.is_evaluation else None
    with open_record(
        jobs.results / "work" / place,
        study=jobs.study.name,
        stage=job.stage,
        run=job.run,
        evaluation=evaluation,
        argv=command(job.stage, job.run, evaluation, (job.seed, job.finetune_seed), inputs),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe_digest(recipe),
        seed=job.seed,
        inputs=inputs,
        code=code_fingerprint(stage.code, Path()),
        scale=jobs.study.scale,
    ) as record:
        names = [*stage.outputs.values(), "metrics.json", "recipe.yaml"]
        for name, content in _contents(jobs, job, names):
            path = record.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        moves = {record.work / name: job.folder / name for name in names}
        record.finish({n: job.folder / n for n in names}, {}, job.folder / "record.json", moves)


def _contents(jobs: Jobs, job: Planned, names: list[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        if name == "shards":
            yield "shards/train-00000.arrow", b"shard"
        elif name == "manifest.parquet":
            yield name, _manifest()
        elif name == "cost.json":
            row = jobs.recipes["pretrain", job.run.rpartition("-s")[0]]
            yield name, json.dumps({"pretrain_recipe_digest": recipe_digest(row)}).encode()
        else:
            yield name, b"{}" if name.endswith(".json") else f"{job.folder}/{name}".encode()


def _manifest() -> bytes:
    read = [(PICS / key).read_bytes() for key in IMAGES]
    sha256 = [hashlib.sha256(image).hexdigest() for image in read]
    table = {"key": IMAGES, "bytes": [len(image) for image in read], "sha256": sha256}
    stream = pa.BufferOutputStream()
    pq.write_table(pa.table(table), stream)
    return bytes(stream.getvalue())


def _read(
    jobs: Jobs, stage: str, recipe: dict[str, object], others: dict[str, Path], names: list[str]
) -> None:
    """Do a job that reads all records."""
    records = {f"record {n}": path for n, path in enumerate(record_paths(jobs.results))}
    with open_record(
        jobs.results / "work" / stage,
        study=jobs.study.name,
        stage=stage,
        run=None,
        evaluation=None,
        argv=[],
        recipe=recipe,
        recipe_digest=sha256_of_json(recipe),
        seed=None,
        inputs={**records, **others},
        code=code_fingerprint(f"folk.cli.{stage}", Path()),
        scale=jobs.study.scale,
    ) as record:
        for name in names:
            (jobs.results / name).parent.mkdir(exist_ok=True)
            (jobs.results / name).write_text("{}")
        outputs = {name: jobs.results / name for name in names}
        record.finish(outputs, {}, jobs.results / stage / "record.json")
