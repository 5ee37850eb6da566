"""Part f: a study on Fashion-MNIST, through snakemake, its jobs on the GPU."""

import gzip
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.gpu.check import Check, NotRunError

STUDY = """
study: gpu-check
title: A study on a GPU
scale: demo
code_change: {{default: rerun}}
resources:
  pretrain: {{threads: 4, gpu: {gpus}, mem_mb: 8000, runtime: 10}}
  finetune: {{threads: 4, gpu: {gpus}, mem_mb: 8000, runtime: 10}}
  probe: {{threads: 4, gpu: {gpus}, mem_mb: 8000, runtime: 10}}
data:
  fashion: {{recipe: image-folder, source: {source}}}
splits:
  few: {{data: fashion, recipe: demo-few, set: {{per_class: {per_class}}}}}
encoders:
  scratch: {{label: from scratch, recipe: demo-scratch, data: fashion, seeds: [0]}}
  folk:
    label: FOLK
    recipe: demo-folk
    data: fashion
    seeds: [0]
    set:
      optim.epochs: {epochs}
      optim.batch: {batch}
      optim.precision: {precision}
      runtime.workers: 2
evaluations:
  few:
    stage: finetune
    recipe: demo-few-a
    data: fashion
    split: few
    set: {{optim.epochs: {few_epochs}, optim.clip_grad: 3.0, evaluate_every: {few_epochs}}}
  frozen: {{stage: probe, recipe: demo, data: fashion}}
tables:
  main:
    title: Fashion-MNIST
    rows: [scratch, folk]
    columns:
      few: {{label: 300 labels, evaluation: few, metric: top1_last}}
      knn: {{label: 20-NN, evaluation: frozen, metric: knn_top1_k20}}
"""


def run(check: Check) -> dict[str, Any]:
    """Write images and study, call snakemake, read the metrics.

    Raises:
        AssertionError: snakemake failed, or a record does not name the GPU.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise NotRunError("snakemake is not installed here")
    if not (check.data / "train-images-idx3-ubyte.gz").is_file():
        raise NotRunError(f"{check.data}: no train-images-idx3-ubyte.gz; give --data FOLDER")
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        limits = {"train": 200, "val": 100} if check.tiny else {"train": 12_000, "val": 3_000}
        for split, prefix in (("train", "train"), ("val", "t10k")):
            _write(check.data, prefix, folder / "images" / split, limits[split])
        study = folder / "gpu-check.yaml"
        on_gpu = check.device.type == "cuda"
        study.write_text(
            STUDY.format(
                source=folder / "images", gpus=int(on_gpu), precision="bf16" if on_gpu else "fp32",
                epochs=2 if check.tiny else 20, batch=50 if check.tiny else 250,
                few_epochs=4 if check.tiny else 60, per_class=5 if check.tiny else 30,
            ),
            encoding="utf-8",
        )  # fmt: skip
        shutil.rmtree("results/gpu-check", ignore_errors=True)
        cells = Path("results/gpu-check/cells.parquet")
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--configfile", str(study), "--cores", "8",
             "--resources", "gpu=1", "--", str(cells)],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        seconds = time.monotonic() - start
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:] + _logs()
    found: dict[str, Any] = {"seconds": round(seconds, 1)}
    for record in sorted(Path("results/gpu-check").glob("*/*/**/record.json")):
        if "work" in record.parts:
            continue
        values = json.loads(record.read_text(encoding="utf-8"))
        metrics = values.get("metrics", {})
        job = "/".join(record.parts[2:-1])
        found[job] = {
            k: round(v, 4)
            for k, v in metrics.items()
            if k.startswith(("top1", "knn", "linear_top1"))
        }
        found[job]["gpus"] = values.get("hardware", {}).get("gpus")
    shutil.rmtree("results/gpu-check", ignore_errors=True)
    return found


def _write(source: Path, prefix: str, folder: Path, limit: int) -> None:
    images = _idx(source / f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:limit]
    labels = _idx(source / f"{prefix}-labels-idx1-ubyte.gz", 8)[:limit]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        target = folder / f"class-{label}"
        target.mkdir(parents=True, exist_ok=True)
        # 32 px and three colors, as the demo's encoders take them.
        padded = np.pad(image, 2)
        Image.fromarray(padded).convert("RGB").save(target / f"{number:05d}.png", compress_level=1)


def _idx(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.uint8, offset=header)


def _logs() -> str:
    logs = sorted(Path("results/gpu-check").rglob("*.log"), key=lambda path: path.stat().st_mtime)
    return "".join(f"\n{path}:\n{path.read_text(encoding='utf-8')[-1500:]}" for path in logs[-2:])
