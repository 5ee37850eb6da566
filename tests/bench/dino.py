"""A step of our distillation alone against DINO put together from lightly's parts."""

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tests.bench.measure import Row, Skipped
from tests.bench.peers import BATCH, Work, install, our_step, process, rows_of

NAME = "a DINO step, two global views"
PACKAGES = ("lightly==1.6.0", "lightly-utils==0.0.2")
PROTOTYPES = 65536
ROUNDS = 3


def rows() -> list[Row | Skipped]:
    """ViT-S/16 at 224 px, in float32, on one thread of a CPU."""
    packages = install(f"{NAME}, lightly's", *PACKAGES)
    if isinstance(packages, Skipped):
        return [packages]
    note = f"ViT-S/16, 224 px, {BATCH} images, fp32, one thread, the same optimizer"
    with (
        process(our_step, "imagenet-100-dino") as ours,
        process(lightly_step, packages) as theirs,
    ):
        return [*rows_of(NAME, "lightly 1.6.0's parts", ours, theirs, ROUNDS, note)]


@contextmanager
def lightly_step(packages: Path) -> Iterator[Work]:
    """An update as lightly's documentation puts one together: each view goes through by itself.

    Encoder, sizes, optimizer and clipping are those of our recipe.
    """
    sys.path.insert(0, str(packages))
    import timm
    from lightly.loss import DINOLoss
    from lightly.models.modules import DINOProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    torch.manual_seed(0)
    encoder = timm.create_model("vit_small_patch16_224", num_classes=0)
    # Its head cannot be copied, so the teacher's starts from other weights, as in its examples.
    student, teacher = (
        torch.nn.Sequential(
            copy.deepcopy(encoder),
            DINOProjectionHead(encoder.num_features, 2048, 256, PROTOTYPES, freeze_last_layer=1),
        )
        for _ in range(2)
    )
    deactivate_requires_grad(teacher)
    loss_of = DINOLoss(PROTOTYPES, warmup_teacher_temp_epochs=1)
    trained = [weight for weight in student.parameters() if weight.requires_grad]
    # Ours has torch's fused kernel too, so it makes no difference here.
    optimizer = torch.optim.AdamW(trained, 1e-4, (0.9, 0.95), weight_decay=0.05, fused=True)
    views = torch.randint(256, (2, BATCH, 3, 224, 224), dtype=torch.uint8).float() / 255.0

    def step() -> None:
        update_momentum(student, teacher, m=0.996)
        targets = [teacher(view) for view in views]
        loss = loss_of(targets, [student(view) for view in views], epoch=2)
        optimizer.zero_grad()
        loss.backward()
        student[1].cancel_last_layer_gradients(current_epoch=2)
        torch.nn.utils.clip_grad_norm_(trained, 3.0)
        optimizer.step()

    yield step
