"""On a GPU every method keeps its tensors there, and the host waits for no copy."""

from pathlib import Path

import pytest
import torch

from folk.filters.rng import BatchRng
from folk.models.encoder import create_encoder
from folk.stages.images import normalize
from folk.stages.table import load_recipe
from folk.stages.tasks.pretrain import build_method
from folk.training.distributed import World
from tests.training.fake_gpu import CUDA, BlockingCopies, fake_gpu

RECIPES = ["mfm", "mfm-com", "folk", "mfm-distill", "gabor", "sr", "deblur", "denoise"]
RELATIVE = {"method.filter.threshold_mode": "relative_max"}
RANDOM = {
    "method.filter": {
        "kind": "random",
        "thresholds": [0.05],
        "p_few": 0.5,
        "threshold_draw": "view",
        "pairing": "independent",
    }
}


def losses_and_copies(recipe, changes):
    """Scalars of a forward pass on the fake GPU, and the copies for which the host waits."""
    row = load_recipe("pretrain", Path(f"config/recipes/pretrain/demo-{recipe}.yaml"), changes)
    encoder = create_encoder(row.encoder.timm_name, row.encoder.timm_args)
    method = build_method(row.method, encoder)
    size = (4, 3, row.views.size, row.views.size)

    with fake_gpu():
        World(0, 1, CUDA).place(method).train()
        views = [torch.rand(size, device=CUDA) for _ in range(method.num_views)]
        with BlockingCopies() as copies:
            corrupted = method.corrupt(views, BatchRng(0, 4))
            removed = method.removed(views, corrupted) or None
            losses = method(views, corrupted, removed, **method.scheduled(0))
            method.after_step(0, 10)
    return losses, copies.found


@pytest.mark.parametrize("recipe", [*RECIPES, "resnet-folk"])
def test_every_method_keeps_its_losses_on_the_gpu_and_waits_for_no_copy(recipe):
    losses, copies = losses_and_copies(recipe, {})

    assert {value.device for value in losses.values()} == {CUDA}
    assert copies == []


@pytest.mark.parametrize("changes", [RELATIVE, RANDOM], ids=["relative_max", "random"])
def test_so_does_every_other_filter(changes):
    losses, copies = losses_and_copies("folk", changes)

    assert {value.device for value in losses.values()} == {CUDA}
    assert copies == []


def test_a_copy_for_which_the_host_waits_is_found():
    with fake_gpu(), BlockingCopies() as copies:
        torch.zeros(3).to(CUDA)
        torch.zeros(3).to(CUDA, non_blocking=True)

    assert copies.found == ["[3] torch.float32"]


def test_colors_are_normalized_with_constants_that_carry_gradients_after_an_inference():
    with torch.inference_mode():
        normalize(torch.rand(1, 3, 2, 2), [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    images = torch.rand(1, 3, 2, 2, requires_grad=True)

    normalize(images, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]).sum().backward()

    assert images.grad[0, :, 0, 0].tolist() == pytest.approx([1 / 0.4, 1 / 0.5, 1 / 0.6])
