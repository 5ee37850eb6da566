"""What holds of every loss, whatever the images, the masks and the logits."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import log_softmax, softmax

from folk.filters.spectrum import half_width, symmetrized
from folk.methods.losses import distillation_loss, masked_frequency_loss, removed_count
from tests.conformance.test_masks import full_plane
from tests.faults.table import fault

SIDES = st.integers(2, 9)
SEEDS = st.integers(0, 2**31)
GAMMAS = st.sampled_from([0.5, 1.0, 2.0])
NORMALIZE = st.sampled_from(["batch", "image"])
CHANNELS = st.sampled_from([1, 3])
FLOOR = 1e-12  # below the root, so that the modulus has a slope at zero


def case(high, wide, channels, seed, share=0.5):
    """Two batches of images, and masks that treat partners alike; the first hides something."""
    draw = torch.Generator().manual_seed(seed)
    prediction, target = torch.randn(2, 3, 3, high, wide, generator=draw, dtype=torch.float64)
    values = torch.rand(3, channels, high, half_width(wide), generator=draw)
    keep = symmetrized(values < share, wide)
    keep[0, :, 0, 0] = False
    return prediction, target, keep


def direct(prediction, target, keep, normalize, gamma):
    """The formula on the full plane: a mean of moduli over what is hidden."""
    spectra = [torch.fft.fft2(x, norm="ortho") for x in (prediction, target)]
    distance = ((spectra[0] - spectra[1]).abs().square() + FLOOR) ** (gamma / 2)
    hidden = ~full_plane(keep, target.shape[-1]).expand_as(distance)
    if normalize == "batch":
        return distance[hidden].mean()
    each = [distance[n][hidden[n]].sum() / max(int(hidden[n].sum()), 1) for n in range(len(keep))]
    return torch.stack(each).mean()


@fault(
    "Random",
    "any two batches of images, any masks: the loss of the missing frequencies",
    "it is the direct formula on the full plane, never negative, and least exactly where the "
    "hidden frequencies are right, whatever the visible ones are",
)
@given(SIDES, SIDES, CHANNELS, SEEDS, NORMALIZE, GAMMAS)
def test_the_masked_loss_is_its_direct_formula(high, wide, channels, seed, normalize, gamma):
    prediction, target, keep = case(high, wide, channels, seed)

    ours = masked_frequency_loss(prediction, target, keep, normalize, gamma)

    assert ours >= 0.0
    torch.testing.assert_close(ours, direct(prediction, target, keep, normalize, gamma))
    swapped = masked_frequency_loss(target, prediction, keep, normalize, gamma)
    torch.testing.assert_close(ours, swapped)


@given(SIDES, SIDES, CHANNELS, SEEDS, NORMALIZE, GAMMAS)
def test_the_masked_loss_is_least_exactly_where_what_is_hidden_is_right(
    high, wide, channels, seed, normalize, gamma
):
    other, target, keep = case(high, wide, channels, seed)
    visible = full_plane(keep, wide).expand(3, 3, high, wide)
    spectrum, wrong = torch.fft.fft2(target), torch.fft.fft2(other)
    right_where_hidden = torch.fft.ifft2(torch.where(visible, wrong, spectrum)).real
    wrong_where_hidden = torch.fft.ifft2(torch.where(visible, spectrum, wrong)).real

    def loss(prediction):
        return masked_frequency_loss(prediction, target, keep, normalize, gamma)

    least = FLOOR ** (gamma / 2)
    assert loss(right_where_hidden) <= 1.01 * least + 1e-14
    assert loss(wrong_where_hidden) > 10 * least
    torch.testing.assert_close(loss(wrong_where_hidden), loss(other))


@given(SIDES, SIDES, CHANNELS, SEEDS, GAMMAS, st.floats(0.5, 8.0))
def test_an_error_so_many_times_as_large_costs_so_many_times_more(
    high, wide, channels, seed, gamma, times
):
    prediction, target, keep = case(high, wide, channels, seed)
    larger = target + times * (prediction - target)

    once, more = (masked_frequency_loss(p, target, keep, gamma=gamma) for p in (prediction, larger))

    torch.testing.assert_close(more, times**gamma * once, rtol=1e-6, atol=0.0)


@given(SIDES, SIDES, CHANNELS, SEEDS)
def test_the_parts_of_a_batch_have_the_loss_of_the_batch_as_their_mean(high, wide, channels, seed):
    prediction, target, keep = case(high, wide, channels, seed)
    counts = [removed_count(keep[n : n + 1], wide) for n in range(3)]

    parts = [
        masked_frequency_loss(
            prediction[n : n + 1], target[n : n + 1], keep[n : n + 1], removed=sum(counts) / 3
        )
        for n in range(3)
    ]

    whole = masked_frequency_loss(prediction, target, keep)
    torch.testing.assert_close(sum(parts) / 3, whole)
    assert sum(counts) == (~full_plane(keep, wide)).sum()


TEMPERATURES = st.floats(0.04, 1.0)


@given(st.integers(2, 12), SEEDS, TEMPERATURES, TEMPERATURES, st.floats(-50.0, 50.0))
def test_distillation_lies_between_the_teachers_entropy_and_the_worst_guess(
    names, seed, student_temperature, teacher_temperature, shift
):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 5, names, generator=draw, dtype=torch.float64)
    center = torch.randn(names, generator=draw, dtype=torch.float64)

    def loss(logits):
        return distillation_loss(logits, teacher, center, student_temperature, teacher_temperature)

    name = softmax((teacher - center) / teacher_temperature, dim=-1)
    entropy = -(name * name.clamp(min=1e-300).log()).sum(-1).mean()
    worst = -log_softmax(student / student_temperature, dim=-1).amin(-1).mean()
    assert entropy - 1e-9 <= loss(student) <= worst + 1e-9
    # Equal to the entropy where the guess is the name, and log of their number where it is none.
    same = student_temperature * (teacher - center) / teacher_temperature
    torch.testing.assert_close(loss(same), entropy)
    torch.testing.assert_close(loss(0 * student).item(), math.log(names))
    torch.testing.assert_close(loss(student + shift), loss(student), rtol=1e-6, atol=1e-8)
