"""A step of our MFM against the released one, run unchanged from a checkout that the user names.

The checkout is one of Jiahao000/MFM. Its `train_one_epoch` makes an epoch of one batch, with the
model, optimizer and schedule that its own builders make of its own ViT-S/16 configuration, and with
the timm that it asks for; torch is ours.
"""

import logging
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from torch import distributed

from tests.bench.measure import Row, Skipped
from tests.bench.peers import BATCH, Work, install, our_step, process, rows_of

NAME = "an MFM step"
CONFIG = "configs/vit_small/mfm_pretrain__vit_small__img224__300ep.yaml"
# What its `main_mfm.py` imports and our lock lacks, timm at the version of its requirements.
PACKAGES = (
    "timm==0.4.12",
    "yacs==0.1.8",
    "termcolor==3.3.0",
    "tensorboard==2.21.0",
    "absl-py==2.5.1",
)
ROUNDS = 3


def rows(checkout: Path | None) -> list[Row | Skipped]:
    """ViT-S/16 at 224 px, in float32, on one thread of a CPU."""
    if checkout is None:
        return [Skipped(f"{NAME}, the released one", "name a checkout of it: --mfm PATH")]
    packages = install(f"{NAME}, the released one", *PACKAGES)
    if isinstance(packages, Skipped):
        return [packages]
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    against = f"the released one, Jiahao000/MFM@{commit or 'unknown'}, with timm 0.4.12"
    note = f"ViT-S/16, 224 px, {BATCH} images, fp32, one thread"
    with (
        process(our_step, "mfm-vit-small") as ours,
        process(released_step, checkout.resolve(), packages) as theirs,
    ):
        return [*rows_of(NAME, against, ours, theirs, ROUNDS, note)]


@contextmanager
def released_step(checkout: Path, packages: Path) -> Iterator[Work]:
    """An update of the released code: forward, backward, clipping, AdamW and schedule.

    Its loader draws the masks, so they are drawn here, before; ours draws them in the step.
    """
    sys.path[:0] = [str(checkout), str(packages)]
    # It asks for a GPU. What it moves there stays where it is, and nothing runs that it waits for.
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self
    torch.cuda.synchronize = lambda *_: None
    # It averages the loss over processes.
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)

    import main_mfm
    from data.data_mfm import FreqMaskGenerator
    from lr_scheduler import build_scheduler
    from models import build_model
    from optimizer import build_optimizer

    main_mfm.logger = logging.getLogger("released")  # its main block makes one that writes files
    with redirect_stdout(sys.stderr):
        values = {"batch_size": BATCH, "amp_opt_level": "O0", "local_rank": 0}  # O0 is float32
        config = main_mfm.get_config(Namespace(cfg=str(checkout / CONFIG), opts=None, **values))
    torch.manual_seed(0)
    model = build_model(config, is_pretrain=True)
    optimizer = build_optimizer(config, model, main_mfm.logger, is_pretrain=True)
    schedule = build_scheduler(config, optimizer, 100)  # updates of an epoch; any number
    size = config.DATA.IMG_SIZE
    draw = FreqMaskGenerator(
        size, config.DATA.MASK_RADIUS1, config.DATA.MASK_RADIUS2, config.DATA.SAMPLE_RATIO
    )
    keep = torch.stack([torch.from_numpy(draw()) for _ in range(BATCH)])
    images = torch.randint(256, (BATCH, 3, size, size), dtype=torch.uint8) / 255.0
    epoch = [(images, None, keep, torch.zeros(BATCH, dtype=torch.long))]
    yield lambda: main_mfm.train_one_epoch(config, model, epoch, optimizer, 2, schedule, None)
    distributed.destroy_process_group()
