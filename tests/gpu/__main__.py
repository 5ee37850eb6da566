"""`make gpu-check`: is it right on a GPU, and how fast is it?

    .venv/bin/python -m tests.gpu                              on the first GPU, minutes
    .venv/bin/python -m tests.gpu --device cpu --tiny          the same parts at toy size
    .venv/bin/python -m tests.gpu --parts bd --budget 240      two parts, at most four minutes

Parts: a, the tests marked `gpu`; b, an update on the GPU against the CPU, and bf16 against fp32;
c, a training that is stopped and goes on; d, speed; e, k-NN at ImageNet's size; f, a study on
Fashion-MNIST through snakemake.

Prints each part as it ends and writes all of them to results/bench/gpu.json. A part that fails is
written with its error, and the others run; the exit status is 1 then. Parts a to e need torch,
torchvision, timm and the packages of `requirements-core.lock`, but neither snakemake nor DVC.
"""

import argparse
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from folk.evidence.core.files import write_json
from tests.bench.measure import machine
from tests.gpu.check import Check, NotRunError

OUT = Path("results/bench/gpu.json")
FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist

Findings = dict[str, Any]


def parts() -> dict[str, tuple[str, Callable[[Check], Findings]]]:
    """The parts by letter, in the order in which they run."""
    from tests.gpu import equality, resume, speed, study, unit

    return {
        "b": ("an update on the GPU against the CPU", equality.run),
        "c": ("a stopped training goes on", resume.run),
        "a": ("tests marked gpu", unit.run),
        "d": ("speed", speed.run),
        "f": ("a study on Fashion-MNIST through snakemake", study.run),
        "e": ("k-NN at ImageNet's size", speed.run_knn),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description="Check a GPU.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes")
    parser.add_argument("--parts", default="abcdef")
    parser.add_argument("--data", type=Path, default=FASHION, help="folder of Fashion-MNIST")
    parser.add_argument("--budget", type=float, default=480.0, help="seconds for all parts")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU; run it where one is, or with --device cpu --tiny")
    check = Check(
        torch.device(given.device), given.tiny, given.data, time.monotonic() + given.budget
    )
    found: Findings = {"machine": machine() | gpu_of(check.device), "tiny": check.tiny, "parts": {}}
    failed = False
    for letter, (title, run) in parts().items():
        if letter not in given.parts:
            continue
        start = time.monotonic()
        part: Findings = {"title": title}
        try:
            if check.seconds_left() <= 0:
                raise NotRunError("the budget was spent before")
            part |= {"ok": True, "found": run(check)}
        except NotRunError as why:
            part |= {"ok": None, "not_run": str(why)}
        except Exception as error:  # noqa: BLE001 - written down; the other parts run
            failed = True
            lines = traceback.format_exc().strip().splitlines()[-12:]
            part |= {"ok": False, "error": f"{type(error).__name__}: {error}", "trace": lines}
        part["seconds"] = round(time.monotonic() - start, 1)
        found["parts"][letter] = part
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(given.out, found)
        show(letter, part)
    sys.exit(failed)


def gpu_of(device: torch.device) -> Findings:
    """Name, memory and versions of the GPU's software."""
    if device.type != "cuda":
        return {"device": str(device)}
    about = torch.cuda.get_device_properties(device)
    return {
        "device": about.name,
        "memory_gib": round(about.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "triton": importlib.util.find_spec("triton") is not None,
        "load": os.getloadavg()[0],
    }


def show(letter: str, part: Findings) -> None:
    """Print one part."""
    word = {True: "ok", False: "FAILED", None: "not run"}[part["ok"]]
    print(f"\n({letter}) {part['title']}: {word}, {part['seconds']} s", flush=True)
    for key in ("not_run", "error"):
        if key in part:
            print(f"    {part[key]}")
    for line in part.get("trace", []):
        print(f"    {line}")
    for name, value in part.get("found", {}).items():
        print(f"    {name}: {value}", flush=True)


if __name__ == "__main__":
    main()
