"""What a GPU computes is what a CPU computes."""

import pytest
import torch

from folk.filters.com_rcom import ComRComFilter
from folk.filters.gabor import GaborFilter
from folk.filters.radial import RadialFilter
from folk.filters.random_frequencies import RandomFilter
from folk.filters.rng import BatchRng
from folk.methods.degradations import Deblur, Denoise, SuperResolution
from folk.methods.distillation import DistillationHead
from folk.methods.losses import distillation_loss, masked_frequency_loss, masked_frequency_norm
from folk.models.encoder import create_encoder
from folk.models.segmenter import Segmenter
from folk.training.distributed import set_numerics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="needs a GPU; run `make gpu-check` on a machine that has one",
    ),
]
IMAGES = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
OTHERS = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(1))
FILTERS = {
    "com-rcom": ComRComFilter(),
    "com-rcom-max": ComRComFilter(threshold_mode="relative_max"),
    "radial": RadialFilter(radius=16.0),
    "random": RandomFilter(),
    "gabor": GaborFilter(),
}


@pytest.fixture(autouse=True)
def exact():
    set_numerics(on_cuda=True, deterministic=False)


@pytest.mark.parametrize("name", FILTERS)
def test_masks_are_those_of_the_cpu(name):
    here = FILTERS[name].draw_pair(IMAGES, IMAGES.flip(0), BatchRng(3, len(IMAGES)))
    device = IMAGES.cuda()
    there = FILTERS[name].draw_pair(device, device.flip(0), BatchRng(3, len(IMAGES)))

    for one, other in zip(here, there, strict=True):
        # Two magnitudes that differ in the last bit may change places at the threshold.
        assert (one != other.cpu()).float().mean() <= 1e-5


@pytest.mark.parametrize("degradation", [SuperResolution(), Deblur(), Denoise()], ids=str)
def test_degraded_images_are_those_of_the_cpu(degradation):
    here = degradation(IMAGES, BatchRng(3, len(IMAGES)))
    there = degradation(IMAGES.cuda(), BatchRng(3, len(IMAGES)))

    torch.testing.assert_close(there.cpu(), here, atol=2e-5, rtol=0)


@pytest.mark.parametrize("loss", [masked_frequency_loss, masked_frequency_norm])
def test_frequency_losses_and_their_gradients_are_those_of_the_cpu(loss):
    keep = ComRComFilter()(IMAGES, BatchRng(3, len(IMAGES)))

    def gradient(device):
        predicted = OTHERS.clone().to(device).requires_grad_()
        value = loss(predicted, IMAGES.to(device), keep.to(device))
        value.backward()
        return value.detach().cpu(), predicted.grad.cpu()

    (here, slope_here), (there, slope_there) = gradient("cpu"), gradient("cuda")
    torch.testing.assert_close(there, here, rtol=1e-5, atol=0)
    assert (slope_there - slope_here).norm() <= 1e-3 * slope_here.norm()


def test_prototype_logits_are_float32_under_autocast_and_give_the_cpus_loss():
    torch.manual_seed(0)
    head, features = DistillationHead(64, 4096, 128, 32), torch.randn(16, 64)
    logits = head(features)
    here = distillation_loss(logits, logits.flip(0), torch.zeros(4096), 0.1, 0.04)
    head.cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        half = head(features.cuda())
    assert half.dtype == torch.float32
    exact = head(features.cuda())
    there = distillation_loss(exact, exact.flip(0), torch.zeros(4096).cuda(), 0.1, 0.04)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-5, atol=0)


def test_fp32_convolutions_do_not_round_to_tf32():
    torch.manual_seed(0)
    layer, images = torch.nn.Conv2d(64, 64, 3), torch.randn(2, 64, 32, 32)
    here = layer(images)
    there = layer.cuda()(images.cuda())

    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-5)


def test_a_segmenter_trains_in_bf16():
    model = Segmenter(
        create_encoder("vit_tiny_patch16_224", {"img_size": 128}), 5, [3, 5, 7, 11],
        channels=32, dropout=0.1, auxiliary_channels=16,
    ).cuda()  # fmt: skip
    with torch.autocast("cuda", dtype=torch.bfloat16):
        main, auxiliary = model(torch.rand(2, 3, 128, 128, device="cuda"))
    (main.square().mean() + auxiliary.square().mean()).backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
