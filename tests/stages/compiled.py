"""Print the losses of some updates with and without torch.compile, and in how many graphs.

An argument is a recipe, or a recipe and its `runtime.max_batch`, such as demo-folk:4.

All of torch.compile but its last step is done, which needs a C++ compiler on a CPU.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import torch

from folk.models.encoder import create_encoder
from folk.stages.pretrain import PretrainRecipe
from folk.stages.table import load_recipe
from folk.stages.tasks.pretrain import build_method, build_parts, pretrain_update
from folk.training.distributed import World

UPDATES, IMAGES = 4, 8


def losses(recipe: str, max_batch: int | None, compiled: bool) -> list[float]:
    """The loss of each update, on drawn images."""
    path = Path(f"config/recipes/pretrain/{recipe}.yaml")
    runtime = {"runtime.compile": compiled, "runtime.max_batch": max_batch}
    row = load_recipe("pretrain", path, runtime)
    assert isinstance(row, PretrainRecipe)
    assert row.method is not None
    torch.manual_seed(0)
    encoder = create_encoder(row.encoder.timm_name, row.encoder.timm_args)
    world = World(0, 1, torch.device("cpu"))
    parts = build_parts(row, build_method(row.method, encoder), world, UPDATES)
    views = 1 if row.method.distillation is None else 2
    size = (IMAGES, 3, row.views.size, row.views.size)
    batch = {"image": [torch.randint(256, size, dtype=torch.uint8) for _ in range(views)]}
    return [
        float(pretrain_update(parts, row, world, 0, step, batch)["loss"]) for step in range(UPDATES)
    ]


def main() -> None:
    torch.set_num_threads(1)
    torch.compile = functools.partial(torch.compile, backend="aot_eager", fullgraph=True)
    said: dict[str, Any] = {}
    for recipe in sys.argv[1:]:
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        name, _, most = recipe.partition(":")
        plain, compiled = (losses(name, int(most) if most else None, how) for how in (False, True))
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        said[recipe] = {"plain": plain, "compiled": compiled, "graphs": graphs}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
