"""A whole step of FOLK against one of MFM: same encoder, same images, same optimizer."""

import torch

from folk.training.distributed import open_world
from tests.bench.measure import Row, in_a_process, in_turns, seconds
from tests.gpu.updates import Updates

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
            name: Updates(f"{name}-vit-small", BATCH, world.device, {"optim.precision": "fp32"})
            for name in ("folk", "mfm")
        }
        return in_turns(*(seconds(steps[name]) for name in ("folk", "mfm")), ROUNDS)
