"""Toy studies: a study file, jobs that leave a few bytes and a real record, and what edits them."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from folk.evidence.audit.job_differences import without_prose
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.record.record import Record, open_record
from folk.evidence.record.schema import record_id
from folk.evidence.results.published import PublishedNumber, numbers_file, papers_file
from folk.stages.table import STAGES

RESULTS = Path("results/demo")
OF_ARCHIVES = (  # studies of config/ that read official archives
    "paper", "one-gpu", "cifar", "fashion", "fashion-tuning", "fashion-ablations",
    "fashion-multiverse",
)  # fmt: skip

# A study file with one of everything; it is read and never run.
STUDY = """
study: tiny
title: A study
scale: demo
data: {scenes: {recipe: demo}}
splits: {few: {data: scenes, recipe: few}}
encoders:
  folk: {label: FOLK, recipe: folk, data: scenes, seeds: [0, 3]}
evaluations:
  full: {stage: finetune, recipe: full, data: scenes}
  few-a: {stage: finetune, recipe: full, data: scenes, split: few}
  hard: {stage: robustness, recipe: demo, data: [scenes], classifier: full}
tables:
  main:
    title: Main
    rows: [folk]
    columns:
      full: {label: full, evaluation: full, metric: top1_last}
      avg: {label: AVG, evaluations: [full, few-a], metric: top1_last}
      speed: {label: speed, evaluation: full, metric: images_per_second, percent: false}
    context:
      ibot: {label: iBOT, cells: {avg: some-id}}
claims:
  rising: {says: it rises, order: [main/folk/avg, main/folk/full]}
  gain: {says: by a point, difference: {of: main/folk/full, over: main/folk/avg}, published: id}
  same: {says: no gain, equal: {of: main/folk/full, to: main/folk/avg, margin: 0.2}}
"""
# The study of which `finish` does every job.
DEMO = """\
study: demo
title: A study of hand-made records
scale: demo
data: {scenes: {recipe: demo}}
encoders: {folk: {label: FOLK, recipe: demo-folk, data: scenes, seeds: [0]}}
"""


def study_file(folder: Path, old: str = "", new: str = "") -> Path:
    """Write the study file, with one text replaced that must be there."""
    assert old in STUDY, old
    path = folder / "tiny.yaml"
    path.write_text(STUDY.replace(old, new, 1), encoding="utf-8")
    return path


def opened(
    stage: str, run: str, evaluation: str | None = None, *, work: Path | None = None, **changes: Any
) -> AbstractContextManager[Record]:
    """Open the record of a job; keywords change what it says of itself."""
    fields = {
        "study": "demo", "stage": stage, "run": run, "evaluation": evaluation,
        "recipe": {"a": 1}, "seed": 0, "inputs": {}, "code": "c" * 64, "scale": "demo",
    } | changes  # fmt: skip
    fields.setdefault("recipe_digest", digest_of(fields["recipe"]))
    seeds = fields["seed"], fields.get("finetune_seed")
    fields.setdefault("argv", command(stage, run, evaluation, seeds, fields["inputs"]))
    results = Path("results", fields["study"])
    return open_record(work or results / "work" / stage / run / (evaluation or ""), **fields)


def digest_of(recipe: Mapping[str, Any]) -> str:
    """Digest a recipe without prose and runtime, as its record does."""
    return sha256_of_json(without_prose(recipe))


def command(
    stage: str,
    run: str | None,
    evaluation: str | None,
    seeds: tuple[int | None, int | None],
    inputs: Mapping[str, Path],
) -> list[str]:
    """Make the command line of a job of a stage, with its seed and that of a fine-tuning."""
    told = {"name": run, "evaluation": evaluation, "seed": seeds[0], "finetune-seed": seeds[1]}
    words = ["python", "-m", "folk", stage]
    for option, value in told.items():
        words += [] if value is None else [f"--{option}", str(value)]
    for kind in STAGES[stage].inputs if stage in STAGES else ():
        for name, path in inputs.items():
            if re.split("[ /]", name)[0] == kind.name:
                key = f"{name.partition(' ')[2]}=" if kind.named else ""
                words += [f"--{kind.name}", f"{key}{path.as_posix()}"]
    return words


def do(
    stage: str,
    run: str,
    files: Mapping[str, str],
    inputs: Mapping[str, Path] | None = None,
    evaluation: str | None = None,
    **changes: Any,
) -> Path:
    """Do a job that writes these files and leaves its record; returns the first file."""
    with opened(stage, run, evaluation, inputs=inputs or {}, **changes) as record:
        out = RESULTS / stage / run / (evaluation or "")
        for name, text in files.items():
            (record.work / name).write_text(text)
        moves = {record.work / name: out / name for name in files}
        record.finish({name: out / name for name in files}, {}, out / "record.json", moves)
    return next(iter(moves.values()))


def finish() -> None:
    """Make in the current folder a study: data, an encoder whose first try failed, predictions."""
    Path("config/published").mkdir(parents=True)
    Path("config/demo.yaml").write_text(DEMO)
    Path("config/published/numbers.csv").write_text("id\n")
    Path("config/published/papers.yaml").write_text("papers: {}\n")
    Path("requirements.lock").write_text("numpy==2\n")
    data = do("prepare", "scenes", {"dataset.json": "{}"})
    with pytest.raises(RuntimeError), opened("pretrain", "folk-s0", inputs={"dataset": data}):
        raise RuntimeError("lost")
    encoder = do("pretrain", "folk-s0", {"encoder.safetensors": "weights"}, {"dataset": data})
    inputs = {"encoder": encoder, "dataset": data}
    do("finetune", "folk-s0", {"predictions.parquet": "right"}, inputs, "full")
    (RESULTS / "tables").mkdir()
    (RESULTS / "tables/main.md").write_text("| 12.5 |\n")
    (RESULTS / "cells.parquet").write_text("cells")


def folk(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Call the command line in this process, which spares the start of another."""
    from folk.cli.app import main  # not needed by most

    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["folk", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    return subprocess.CompletedProcess([*arguments], status, out.getvalue(), err.getvalue())


def do_stage(
    stage: str,
    recipe: Any,
    work: Path,
    *,
    name: str = "x-s0",
    live: Callable[[int, dict[str, float]], None] = lambda _step, _values: None,
    world: Any = None,
    **given: Any,
) -> dict[str, float]:
    """Do the work of a stage in this process and in the folder `work`; returns its metrics.

    Keywords are its inputs: files, or the folders of data sets, encoders and classifiers.
    """
    import torch  # which few tests need

    from folk.stages.table import STAGES
    from folk.stages.task import Task
    from folk.training.distributed import World

    files = {
        "dataset": "dataset.json",
        "encoder": "encoder.safetensors",
        "classifier": "classifier.safetensors",
    }
    options: dict[str, list[str]] = {}
    for option in STAGES[stage].inputs:
        found = given.pop(option.parameter, None) or []
        if isinstance(found, dict):
            found = [f"{key}={path}" for key, path in found.items()]
        listed = found if isinstance(found, list) else [found]
        options[option.name] = [str(Path(path, files.get(option.name, ""))) for path in listed]
        if option.settings is not None:
            options[option.settings] = given.pop(option.settings.replace("-", "_"), [])
    assert not given, f"{stage} reads no {', '.join(given)}"
    work.mkdir(parents=True, exist_ok=True)
    world = world or World(0, 1, torch.device("cpu"))
    run = STAGES[stage].run
    assert run is not None
    return run(Task(name, recipe, options, work, 0, "x", live, world))


def prepare_scenes(out: Path) -> subprocess.CompletedProcess[str]:
    """Prepare hardly any images by the command line."""
    few = {"num_train": 20, "num_val": 10, "num_unlabeled": 0}
    settings = [word for key, value in few.items() for word in ("--set", f"scenes.{key}={value}")]
    recipe = Path(__file__).parents[1] / "config/recipes/prepare/demo.yaml"
    given = ["--recipe", recipe, "--code", "c", "--name", "scenes", "--out", out]
    return folk("prepare", *given, *settings)


def edit(path: Path, change: Callable[[Any], object], new_id: bool = False) -> None:
    """Change a file of JSON; a forger gives a record the id of what it says then."""
    content = json.loads(path.read_text())
    change(content)
    if new_id:
        content["id"] = record_id(content)
    path.write_text(json.dumps(content, indent=2))


def replace_in(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def git(*arguments: str | Path, folder: Path = Path()) -> str:
    """Call git as somebody who has no settings; gives what it says."""
    command = ["git", "-C", folder, "-c", "user.name=n", "-c", "user.email=e@x", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def write_published(folder: Path, text: str) -> Path:
    """Write papers.yaml, and its key `numbers` as numbers.csv.

    Args:
        folder: is made.
        text: YAML; a value that is null or left out is an empty cell.

    Returns:
        the folder.
    """
    values = yaml.safe_load(text)
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(PublishedNumber.model_fields)
    with numbers_file(folder).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        for number in values.pop("numbers"):
            table.writerow([number.get(column) for column in columns])
    papers_file(folder).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return folder


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def store_encoder(folder: Path, timm_name: str, timm_args: dict[str, Any], **changes: Any) -> Any:
    """Store an untrained encoder for images of 32 px, or the given `encoder`; returns it."""
    from folk.models.encoder import create_encoder, save_encoder  # torch, which few tests need

    encoder = changes.pop("encoder", None) or create_encoder(timm_name, timm_args)
    says = {"input_size": [3, 32, 32], "method": "mfm", "run": "mfm-s0"} | changes
    colors = {"mean": [0.5] * 3, "std": [0.25] * 3}
    save_encoder(folder, encoder, timm_name=timm_name, timm_args=timm_args, **colors, **says)
    return encoder
