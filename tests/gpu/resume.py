"""Part c: a training that is stopped in mid-run goes on as if it had not been."""

import tempfile
from pathlib import Path
from typing import Any

import torch

from folk.data.prepare import prepare_scenes
from folk.models.encoder import load_encoder
from folk.stages.prepare import PrepareRecipe
from folk.stages.pretrain import PretrainRecipe
from folk.stages.table import load_recipe
from folk.training.distributed import World, set_numerics
from tests.gpu.check import Check
from tests.toy import do_stage

STOP_AT = 7  # updates, in the middle of an epoch
TOLERANCE = 5e-2  # of the weights, relative to their norm, where kernels are not repeatable


class StopHereError(Exception):
    """Stands for a kill; the checkpoint of the update before is there."""


def run(check: Check) -> dict[str, Any]:
    """Train three times: as a whole, again, and with a stop; repeatable kernels, then fast ones.

    Raises:
        AssertionError: with repeatable kernels the weights differ in a bit, or with fast ones by
            more than the tolerance.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder, "scenes")
        recipe = load_recipe("prepare", Path("config/recipes/prepare/demo.yaml"), {})
        assert isinstance(recipe, PrepareRecipe)
        assert recipe.scenes is not None
        values = recipe.scenes.model_dump() | {"num_train": 64, "num_val": 16, "num_unlabeled": 64}
        for key in ("digit_scale", "digit_brightness"):
            values[key] = tuple(values[key])
        prepare_scenes(scenes, identity="check", **values)
        for deterministic in (True, False):
            name = "deterministic" if deterministic else "fast"
            whole = _train(check, scenes, Path(folder, f"{name}-whole"), deterministic, None)
            again = _train(check, scenes, Path(folder, f"{name}-again"), deterministic, None)
            stopped = _train(check, scenes, Path(folder, f"{name}-stopped"), deterministic, STOP_AT)
            found[name] = {
                "same run again": _distance(whole, again),
                "stopped and resumed": _distance(whole, stopped),
            }
    repeatable = found["deterministic"]
    assert not any(repeatable.values()), f"deterministic runs differ: {repeatable}"
    assert max(found["fast"].values()) <= TOLERANCE, found["fast"]
    return found


def _train(
    check: Check, scenes: Path, work: Path, deterministic: bool, stop_at: int | None
) -> dict[str, torch.Tensor]:
    precision = "fp32" if check.device.type == "cpu" else "bf16"
    recipe = load_recipe("pretrain", Path("config/recipes/pretrain/demo-folk.yaml"), {
        "optim.epochs": 4, "optim.batch": 32, "optim.warmup_epochs": 1.0,
        "optim.precision": precision, "runtime.deterministic": deterministic,
        "runtime.checkpoint_seconds": 0.0, "runtime.log_every": 1, "runtime.workers": 0,
    })  # fmt: skip
    assert isinstance(recipe, PretrainRecipe)
    work.mkdir()
    left = [stop_at] if stop_at is not None else []
    set_numerics(check.device.type == "cuda", deterministic)
    while True:

        def live(step: int, _values: dict[str, float]) -> None:
            if left and step == left[0]:
                left.clear()
                raise StopHereError

        try:
            world = World(0, 1, check.device)
            do_stage("pretrain", recipe, work, dataset=scenes, world=world, live=live)
        except StopHereError:
            continue
        encoder, _ = load_encoder(work)
        return dict(encoder.state_dict())


def _distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    difference = sum(float((one[key] - other[key]).double().square().sum()) for key in one)
    norm = sum(float(value.double().square().sum()) for value in one.values())
    return float((difference / norm) ** 0.5)
