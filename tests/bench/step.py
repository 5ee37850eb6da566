"""A whole step of FOLK against one of MFM: same encoder, same images, same optimizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from folk.models.encoder import create_encoder
from folk.stages.pretrain import PretrainRecipe
from folk.stages.table import load_recipe
from folk.stages.tasks.pretrain import build_method, build_parts, pretrain_update
from folk.training.distributed import World, open_world
from tests.bench.measure import Row, in_a_process, in_turns, seconds

RECIPES = Path("config/recipes/pretrain")
UPDATES_PER_EPOCH = 100  # any number; a rate is only drawn from a schedule
ROUNDS = 3
# What does not depend on the batch weighs less in a larger one; the papers have 128 a GPU.
BATCH = 32


def rows() -> list[Row]:
    """ViT-S/16 at 224 px, in float32, as a CPU computes."""
    ours, baseline = in_a_process(_both)  # a training sets its process up as it needs it
    note = f"ViT-S/16, 224 px, {BATCH} images; 8/3 by arithmetic"
    return [Row("a FOLK step", "an MFM step", "s", ours, baseline, reach=2.8, note=note)]


def _both() -> tuple[list[float], list[float]]:
    with open_world(torch.get_num_threads()) as world:
        steps = {
            name: pretraining_step(f"{name}-vit-small", BATCH, world, {"optim.precision": "fp32"})
            for name in ("folk", "mfm")
        }
        return in_turns(*(seconds(steps[name]) for name in ("folk", "mfm")), ROUNDS)


def pretraining_step(
    recipe: str,
    batch: int,
    world: World,
    values: dict[str, Any],
) -> Callable[[], object]:
    """A step that can be taken again and again, on the same drawn images.

    Args:
        recipe: name of a recipe of pre-training.
        batch: images, which this process has all for itself.
        world: this process.
        values: laid over the recipe.
    """
    row = load_recipe("pretrain", RECIPES / f"{recipe}.yaml", {"optim.batch": batch, **values})
    assert isinstance(row, PretrainRecipe)
    assert row.method is not None
    torch.manual_seed(0)
    encoder = create_encoder(row.encoder.timm_name, row.encoder.timm_args)
    parts = build_parts(row, build_method(row.method, encoder), world, UPDATES_PER_EPOCH)
    views = 1 if row.method.distillation is None else 2
    shape = (batch, 3, row.views.size, row.views.size)
    images = [torch.randint(256, shape, dtype=torch.uint8) for _ in range(views)]
    late = 2 * UPDATES_PER_EPOCH  # the last layer of the distillation head is free by then
    return lambda: pretrain_update(parts, row, world, 0, late, {"image": images})
