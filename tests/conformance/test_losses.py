"""The losses agree with the published formulas, and with spectra worked out by hand."""

import math

import pytest
import torch

from folk.filters.com_rcom import ComRComFilter
from folk.filters.radial import RadialFilter, radial_keep
from folk.filters.rng import BatchRng
from folk.methods.losses import WeightMatrix, distillation_loss, masked_frequency_loss
from tests.faults.table import fault


def published_masked_loss(prediction, target, keep, gamma=1.0):
    """The loss of Jiahao000/MFM@c9194b1, models/frequency_loss.py, on the full plane, over a batch.

    L = sum over n,c,u,v of (1 - M') D / (sum over n,u,v of (1 - M')) / 3.
    """
    spectra = [torch.fft.fft2(x, norm="ortho") for x in (prediction, target)]
    difference = spectra[0] - spectra[1]
    distance = (difference.real**2 + difference.imag**2 + 1e-12) ** (gamma / 2)
    width = target.shape[-1]
    rows = -torch.arange(width) % width
    mirrored = keep[..., rows, :][..., -torch.arange(width // 2 + 1, width) % width]
    removed = ~torch.cat([keep, mirrored], dim=-1)
    return (distance * removed).sum() / removed.sum() / 3


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize("chooses", [RadialFilter(16.0), ComRComFilter(thresholds=(0.05, 0.3))])
@pytest.mark.parametrize("size", [32, 33])
def test_the_half_plane_loss_equals_the_published_full_plane_loss(chooses, gamma, size):
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 5, 3, size, size, generator=generator).double()
    keep = chooses(target, BatchRng(0, len(target)))

    ours = masked_frequency_loss(prediction, target, keep, gamma=gamma)

    torch.testing.assert_close(ours, published_masked_loss(prediction, target, keep, gamma))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chooses", [RadialFilter(16.0, radius_size=24), ComRComFilter()])
def test_the_float32_loss_equals_a_direct_float64_sum_to_five_digits(chooses, seed):
    # MFM's formula without any FFT: every coefficient is a sum over pixels.
    size, generator = 24, torch.Generator().manual_seed(seed)
    prediction, target = torch.randn(2, 3, 3, size, size, generator=generator)
    keep = chooses(target, BatchRng(seed, len(target)))
    places = torch.arange(size, dtype=torch.float64)
    waves = torch.exp(-2j * math.pi * places[:, None] * places / size) / size**0.5
    spectra = [waves @ x.double().to(torch.complex128) @ waves.T for x in (prediction, target)]
    distance = ((spectra[0] - spectra[1]).abs().square() + 1e-12).sqrt()
    total, removed = 0.0, 0
    for image in range(3):
        for u in range(size):
            for v in range(size):
                # v beyond the middle is the conjugate of (-u, -v), and the mask is symmetric.
                half = (u, v) if v <= size // 2 else (-u % size, size - v)
                if not keep[image, 0, half[0], half[1]]:
                    total += distance[image, :, u, v].sum().item()
                    removed += 1

    loss = masked_frequency_loss(prediction, target, keep)

    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(total / removed / 3, rel=1e-5)


def test_the_distillation_loss_equals_dinos_formula_in_float64():
    # -sum P_t log P_s over outputs; P_t = softmax((g_t - c) / tau_t), P_s = softmax(g_s / tau_s).
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 16, 512, generator=generator)
    center = torch.randn(512, generator=generator)
    total = 0.0
    for guess, name in zip(student.double(), teacher.double(), strict=True):
        sharp = ((name - center.double()) / 0.04).exp()
        soft = (guess / 0.1).exp()
        total -= (sharp / sharp.sum() * (soft / soft.sum()).log()).sum().item()

    loss = distillation_loss(student, teacher, center, 0.1, 0.04)

    assert loss.item() == pytest.approx(total / 16, rel=1e-5)


def test_a_wave_of_known_amplitude_costs_what_the_hand_computes():
    # a cos(2 pi 3 x / N) has two orthonormal coefficients of modulus a N / 2, at x = 3 and x = -3.
    size, amplitude = 16, 0.5
    wave = amplitude * torch.cos(2 * math.pi * 3 * torch.arange(size) / size).expand(size, size)
    prediction, target = wave.expand(1, 3, -1, -1), torch.zeros(1, 3, size, size)
    hides_the_wave = radial_keep((size, size), 3.0)[None, None]  # exactly on the line is hidden
    num_hidden = size * size - 25  # 25 bins lie inside radius 3

    loss = masked_frequency_loss(prediction, target, hides_the_wave)

    expected = 2 * amplitude * size / 2 / num_hidden
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    keeps_the_wave = radial_keep((size, size), 4.0)[None, None]
    assert masked_frequency_loss(prediction, target, keeps_the_wave).item() < 1e-5
    everywhere = masked_frequency_loss(prediction, target, keeps_the_wave, region="all")
    assert everywhere.item() == pytest.approx(2 * amplitude * size / 2 / size**2, rel=1e-4)


def test_batch_normalization_weighs_images_by_what_was_removed_and_image_does_not():
    size = 224
    low = radial_keep((size, size), 16.0)
    keep = torch.stack([low, ~low])[:, None]
    target = torch.zeros(2, 3, size, size)
    # An impulse has modulus 1 / N in every orthonormal coefficient.
    impulse = torch.zeros(2, 3, size, size)
    impulse[0, :, 0, 0] = 1.0 * size  # distance 1 everywhere
    impulse[1, :, 0, 0] = 3.0 * size  # distance 3 everywhere

    by_batch = masked_frequency_loss(impulse, target, keep, normalize="batch")
    by_image = masked_frequency_loss(impulse, target, keep, normalize="image")

    # A low-pass input has 49,383 targets, a high-pass input 793: 1.6 % of the denominator.
    share = 793 / (793 + 49383)
    assert share == pytest.approx(0.016, abs=0.0005)
    assert by_batch.item() == pytest.approx(1 * (1 - share) + 3 * share, rel=1e-4)
    assert by_image.item() == pytest.approx(2.0, rel=1e-4)


def test_parseval_with_gamma_two_the_loss_is_the_mean_squared_error():
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 4, 3, 32, 32, generator=generator)
    nothing = torch.zeros(4, 1, 32, 17, dtype=torch.bool)

    loss = masked_frequency_loss(prediction, target, nothing, gamma=2.0)

    torch.testing.assert_close(loss, (prediction - target).square().mean())


def test_a_mean_spectrum_compares_the_mean_images():
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 4, 3, 32, 32, generator=generator)

    loss = masked_frequency_loss(prediction, target, None, average_spectrum=True)

    # The transform is linear: errors of opposite sign in two images cancel.
    mean = [images.mean(dim=0, keepdim=True) for images in (prediction, target)]
    torch.testing.assert_close(loss, masked_frequency_loss(*mean, None))
    opposite = torch.cat([prediction, 2 * target - prediction])
    twice = torch.cat([target, target])
    cancelled = masked_frequency_loss(opposite, twice, None, average_spectrum=True)
    assert cancelled.item() < 1e-5


@fault("Numbers", "a mask that removes nothing", "a loss of 0 with a finite gradient")
def test_where_nothing_was_removed_the_loss_is_zero_and_finite():
    prediction = torch.ones(2, 3, 8, 8, requires_grad=True)
    everything = torch.ones(2, 1, 8, 5, dtype=torch.bool)

    loss = masked_frequency_loss(prediction, torch.zeros(2, 3, 8, 8), everything)
    loss.backward()

    assert loss.item() == 0.0
    assert prediction.grad.isfinite().all()


def test_the_loss_is_float32_for_half_precision_predictions():
    target = torch.rand(2, 3, 16, 16)
    keep = radial_keep((16, 16), 2.0).expand(2, 1, -1, -1)

    assert masked_frequency_loss(target.bfloat16(), target, keep).dtype == torch.float32


def test_distillation_equals_the_cross_entropy_worked_out_by_hand():
    # Teacher: logits (ln 3, 0) / 1 after the center -> (3/4, 1/4). Student: (ln 1, ln 1) -> 1/2.
    student = torch.tensor([[0.0, 0.0]])
    teacher = torch.tensor([[math.log(3.0) + 5.0, 0.0]])
    center = torch.tensor([5.0, 0.0])

    even = distillation_loss(student, teacher, center, 0.1, 1.0)
    # Student logits (0.1 ln 4, 0) at temperature 0.1 -> (4/5, 1/5).
    sure = distillation_loss(torch.tensor([[0.1 * math.log(4.0), 0.0]]), teacher, center, 0.1, 1.0)

    assert even.item() == pytest.approx(math.log(2.0))
    assert sure.item() == pytest.approx(-(0.75 * math.log(0.8) + 0.25 * math.log(0.2)))


def test_no_gradient_reaches_the_teachers_logits():
    student = torch.randn(3, 4, requires_grad=True)
    teacher = torch.randn(3, 4, requires_grad=True)

    distillation_loss(student, teacher, torch.zeros(4), 0.1, 0.04).backward()

    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_a_restoration_task_compares_the_complete_spectrum():
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 5, 3, 33, 32, generator=generator).double()
    spectra = [torch.fft.fft2(x, norm="ortho") for x in (prediction, target)]

    loss = masked_frequency_loss(prediction, target, None)

    torch.testing.assert_close(loss, (spectra[0] - spectra[1]).abs().mean(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("maximum", ["image", "batch"])
def test_the_weight_matrix_equals_its_formula_on_the_full_plane(maximum, log):
    # w = |dF|^alpha, log(1 + w) on request, over the largest of each color or of the batch.
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 4, 3, 32, 32, generator=generator).double()
    difference = torch.fft.fft2(prediction - target, norm="ortho").abs()
    weights = difference**0.7
    weights = torch.log(weights + 1) if log else weights
    weights = weights / (
        weights.amax((-2, -1), keepdim=True) if maximum == "image" else weights.max()
    )

    loss = masked_frequency_loss(
        prediction, target, None, weight_matrix=WeightMatrix(0.7, log, maximum)
    )

    torch.testing.assert_close(loss, (weights * difference).mean(), rtol=1e-5, atol=0)


def test_weights_get_no_gradient_and_survive_a_perfect_prediction():
    target = torch.rand(2, 3, 16, 16)
    prediction = target.clone().requires_grad_()

    loss = masked_frequency_loss(prediction, target, None, weight_matrix=WeightMatrix())
    loss.backward()

    assert loss.item() == 0.0
    assert prediction.grad.isfinite().all()
    # A flat error is one wrong coefficient of each color: held at weight 1 it changes nothing.
    ahead = (target + 0.1).requires_grad_()
    masked_frequency_loss(ahead, target, None, gamma=2.0, weight_matrix=WeightMatrix()).backward()
    plain = (target + 0.1).requires_grad_()
    masked_frequency_loss(plain, target, None, gamma=2.0).backward()
    torch.testing.assert_close(ahead.grad, plain.grad)
