"""One update of a recipe on any device, from the same weights, images and random numbers."""

from pathlib import Path
from typing import Any

import torch

from folk.models.encoder import create_encoder
from folk.stages.pretrain import PretrainRecipe
from folk.stages.table import load_recipe
from folk.stages.tasks.pretrain import Parts, build_method, build_parts, pretrain_update
from folk.training.distributed import World

RECIPES = Path("config/recipes/pretrain")
UPDATES_PER_EPOCH = 100  # any number; a rate is only drawn from a schedule
LATE = 2 * UPDATES_PER_EPOCH  # the last layer of the distillation head is free by then
TINY = {"views.size": 32, "encoder.timm_args": {
    "img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}}  # fmt: skip


class Updates:
    """Updates of one recipe, on images that are drawn once.

    Args:
        name: of a recipe of pre-training.
        batch: images.
        device: where it trains.
        values: laid over the recipe.
    """

    def __init__(
        self, name: str, batch: int, device: torch.device, values: dict[str, Any] | None = None
    ) -> None:
        given = {"optim.batch": batch, **(values or {})}
        row = load_recipe("pretrain", RECIPES / f"{name}.yaml", given)
        assert isinstance(row, PretrainRecipe)
        assert row.method is not None
        self.recipe, self.world = row, World(0, 1, device)
        torch.manual_seed(0)
        encoder = create_encoder(row.encoder.timm_name, row.encoder.timm_args)
        method = build_method(row.method, encoder)
        shape = (batch, 3, row.views.size, row.views.size)
        draw = torch.Generator().manual_seed(1)
        views = row.method.num_views
        images = [
            torch.randint(256, shape, dtype=torch.uint8, generator=draw) for _ in range(views)
        ]
        if device.type == "cuda":
            images = [image.pin_memory() for image in images]
        self.images = images
        self.parts: Parts = build_parts(row, method, self.world, UPDATES_PER_EPOCH)

    def __call__(self) -> dict[str, torch.Tensor]:
        """Make one update; the copy of the images to the device is part of it."""
        batch = {"image": self.images}
        return pretrain_update(self.parts, self.recipe, self.world, 0, LATE, batch)
