"""The restoration tasks spoil images with the released parameters."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from folk.evidence.core.errors import InputError
from folk.filters.rng import BatchRng
from folk.methods.degradations import Deblur, Denoise, SuperResolution, gaussian_kernels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("size", "effective"), [(7, 1.94), (21, 4.5)])
def test_a_truncated_kernel_blurs_less_than_its_sigma(size, effective):
    (line,) = gaussian_kernels(torch.tensor([size]), sigma=5.0, width=21)
    offset = torch.arange(21) - 10

    assert line.sum().item() == pytest.approx(1.0)
    assert (line > 0).sum() == size
    assert (line * offset**2).sum().sqrt().item() == pytest.approx(effective, abs=0.05)


def test_each_image_is_blurred_by_its_own_kernel_as_opencv_would():
    images = torch.rand(6, 3, 40, 48, generator=seeded())

    blurred = Deblur()(images, BatchRng(1, len(images)))

    sizes = 7 + 2 * torch.randint(8, (6,), generator=seeded(1))
    assert len(set(sizes.tolist())) > 1
    for image, ours, size in zip(images, blurred, sizes.tolist(), strict=True):
        offset = np.arange(size) - size // 2
        kernel = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 5.0**2))
        for plane, our_plane in zip(image.numpy(), ours.numpy(), strict=True):
            theirs = correlate(plane, kernel / kernel.sum(), mode="mirror")
            np.testing.assert_allclose(our_plane, theirs, atol=1e-5)


def test_every_odd_kernel_size_is_drawn_alike():
    impulse = torch.zeros(2000, 1, 24, 24)
    impulse[:, :, 12, 12] = 1.0

    blurred = Deblur(max_size=11)(impulse, BatchRng(0, len(impulse)))

    sizes = (blurred[:, 0, 12] > 0).sum(dim=1)
    for size in (7, 9, 11):
        assert (sizes == size).float().mean().item() == pytest.approx(1 / 3, abs=0.04)


def test_super_resolution_goes_from_224_to_28_and_back_and_is_clipped_in_between():
    steps = (torch.arange(224) // 28 % 2).float()
    images = (steps[:, None] == steps).float().expand(2, 3, -1, -1)

    blurred = SuperResolution(factor=8)(images, BatchRng(0, len(images)))

    def resize(planes, size):
        return torch.nn.functional.interpolate(planes, size=(size, size), mode="bicubic")

    small = resize(images, 28).clamp(0.0, 1.0)
    assert torch.equal(blurred, resize(small, 224))
    assert (
        blurred.max() > 1.0
    )  # bicubic overshoots at edges; the recipe clips what the encoder sees
    assert not torch.equal(blurred, resize(resize(images * 1.2 - 0.1, 28), 224))


def test_noise_has_75_of_255_is_not_clipped_and_differs_between_colors():
    gray = torch.full((4, 3, 64, 64), 0.5)

    noisy = Denoise()(gray, BatchRng(0, len(gray)))

    noise = noisy - gray
    assert noise.std().item() == pytest.approx(75 / 255, rel=0.02)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.01)
    assert noisy.min() < 0.0
    assert noisy.max() > 1.0
    correlation = torch.corrcoef(noise.transpose(0, 1).flatten(1))
    assert (correlation - torch.eye(3)).abs().max() < 0.05


@pytest.mark.parametrize("degrades", [SuperResolution(), Deblur(max_size=9), Denoise()])
def test_the_same_seed_spoils_alike_and_touches_no_global_state(degrades):
    images = torch.rand(4, 3, 32, 32, generator=seeded())
    state = torch.get_rng_state()

    first, second = (
        degrades(images, BatchRng(7, len(images))),
        degrades(images, BatchRng(7, len(images))),
    )

    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    assert first.shape == images.shape


@pytest.mark.parametrize("degrades", [SuperResolution(factor=9), Deblur()])
def test_images_that_are_too_small_are_refused(degrades):
    with pytest.raises(InputError, match="8 x 8"):
        degrades(torch.rand(1, 3, 8, 8), BatchRng(0, 1))


@pytest.mark.parametrize("sizes", [(6, 21), (8, 21), (7, 20), (9, 7)])
def test_kernel_sizes_that_have_no_middle_are_refused(sizes):
    with pytest.raises(InputError, match="odd"):
        Deblur(min_size=sizes[0], max_size=sizes[1])
    assert Deblur(min_size=9, max_size=9).max_size == 9
