"""Part b: one update on the GPU against the CPU in fp32, and bf16 against fp32."""

from typing import Any

import torch

from folk.training.distributed import set_numerics
from tests.gpu.check import Check
from tests.gpu.updates import TINY, Updates

CPU = torch.device("cpu")
FP32_TOLERANCE = 1e-4  # of the loss, relative
BF16_TOLERANCE = 2e-2  # bf16 has 8 bits of mantissa
ROWS = ("mfm-vit-small", "folk-vit-small")


def run(check: Check) -> dict[str, Any]:
    """Compare losses and the norm of the gradient.

    Raises:
        AssertionError: a loss differs by more than its tolerance.
    """
    found: dict[str, Any] = {}
    batch = 2 if check.tiny else 8
    more = TINY if check.tiny else {}
    # So that a norm of the gradient is among the scalars, and nothing is clipped.
    base = {"optim.clip_grad": 1e9, "runtime.compile": False, **more}
    for row in ROWS:
        set_numerics(False, deterministic=False)
        here = _scalars(Updates(row, batch, CPU, {**base, "optim.precision": "fp32"}))
        set_numerics(check.device.type == "cuda", deterministic=False)
        there = _scalars(Updates(row, batch, check.device, {**base, "optim.precision": "fp32"}))
        half = _scalars(Updates(row, batch, check.device, {**base, "optim.precision": "bf16"}))
        found[row] = {
            name: {
                "cpu": here[name],
                "fp32 against cpu": _difference(there[name], here[name]),
                "bf16 against fp32": _difference(half[name], there[name]),
            }
            for name in here
            if name.startswith("loss") or name == "grad_norm"
        }
    for row, scalars in found.items():
        for name, values in scalars.items():
            if name == "grad_norm":
                continue
            assert values["fp32 against cpu"] <= FP32_TOLERANCE, (row, name, values)
            assert values["bf16 against fp32"] <= BF16_TOLERANCE, (row, name, values)
    return found


def _scalars(update: Updates) -> dict[str, float]:
    return {name: float(value) for name, value in update().items()}


def _difference(value: float, reference: float) -> float:
    return abs(value - reference) / max(abs(reference), 1e-12)
