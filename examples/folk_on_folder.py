"""FOLK on any folder of images: python -m examples.folk_on_folder --images DIR

A student sees two views of an image without the frequencies that a filter hides: Com keeps the few
largest coefficients of the view's own spectrum, RCom all the others. It predicts the hidden
frequencies, and the output of an EMA teacher for the other, unfiltered view.
"""

import argparse
import json
from functools import partial

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from timm import create_model, data, optim
from timm.scheduler import CosineLRScheduler
from torch.utils.data import DataLoader

from folk.data.pixels import to_pixels
from folk.data.transforms import Views, unit_range, view_transforms
from folk.filters.com_rcom import ComRComFilter
from folk.filters.rng import BatchRng
from folk.methods.distillation import DistillationHead
from folk.methods.folk import FOLK

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--images", required=True, help="folder, searched at any depth")
parser.add_argument("--timm-name", default="vit_small_patch16_224")
parser.add_argument("--timm-args", default={}, type=json.loads, help='such as {"img_size": 32}')
parser.add_argument("--size", default=224, type=int, help="of a view, pixels")
parser.add_argument("--epochs", default=300, type=int)
parser.add_argument("--batch", default=64, type=int)
parser.add_argument("--lr", default=6e-4, type=float, help="highest, for 1024 images at once")
parser.add_argument("--out", default="encoder.safetensors")


def two_views(dino: Views, image: Image.Image) -> list[torch.Tensor]:
    """Augment an image twice; views are uint8."""
    return list(dino(to_pixels(image), np.random.default_rng(int(torch.randint(2**62, ())))))


def main(args: argparse.Namespace) -> None:
    """Train, and store the teacher's encoder."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dino = view_transforms("dino", size=args.size, min_scale=0.14, jitter=1.0, num_views=2)
    images = data.ImageDataset(args.images, transform=partial(two_views, dino))
    loader = DataLoader(images, args.batch, shuffle=True, num_workers=4)
    encoder = create_model(args.timm_name, num_classes=0, **args.timm_args)
    method = FOLK(encoder, ComRComFilter(), DistillationHead(encoder.num_features)).to(device)
    rate, updates = args.lr * args.batch / 1024, args.epochs * len(loader)
    optimizer = optim.create_optimizer_v2(method, "adamw", rate, weight_decay=0.05)
    schedule = CosineLRScheduler(optimizer, updates, warmup_t=updates // 15, t_in_epochs=False)
    for epoch in range(args.epochs):
        for update, (batch, _) in enumerate(loader, start=epoch * len(loader)):
            schedule.step_update(update)
            views = [unit_range(view.to(device)) for view in batch]  # uint8 -> [0, 1]
            kept = method.corrupt(views, BatchRng(update, len(views[0])))  # Com or RCom for each
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                losses = method(views, kept, **method.scheduled(epoch))  # Eq. 6 and its parts
            optimizer.zero_grad()
            losses["loss"].backward()
            method.after_backward(update / len(loader))  # DINO's head rests in the first epoch
            torch.nn.utils.clip_grad_norm_(method.parameters(), 3.0)
            optimizer.step()
            method.after_step(update, updates)  # the teacher follows the student
        print(f"epoch {epoch + 1}", *(f"{name} {value:.4f}" for name, value in losses.items()))
    save_file(method.teacher_encoder.state_dict(), args.out)
    print("import safetensors.torch, timm")
    print(f"encoder = timm.create_model({args.timm_name!r}, num_classes=0, **{args.timm_args})")
    print(f"encoder.load_state_dict(safetensors.torch.load_file({args.out!r}))")


if __name__ == "__main__":
    main(parser.parse_args())
