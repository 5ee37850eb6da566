"""FOLK's two losses, on the example that is worked out by hand; also what a wrong reading gives."""

import pytest
import torch
from torch import nn

from folk.filters.com_rcom import ComRComFilter
from folk.methods.base import Reconstruction
from folk.methods.distillation import DistillationHead, cosine, ema_update
from folk.methods.folk import FOLK, Distillation
from folk.methods.losses import distillation_loss, masked_frequency_loss, masked_frequency_norm

# Case A: temperatures 1, no center. Case B: 0.1 and 0.04 with a center; the same numbers.
CASES = {
    "a": {
        "student_u": [1.0, 0.0], "student_v": [0.0, 2.0],
        "teacher_u": [0.0, 1.0], "teacher_v": [3.0, 0.0],
        "center": [0.0, 0.0], "temperatures": (1.0, 1.0),
    },
    "b": {
        "student_u": [0.1, 0.0], "student_v": [0.0, 0.2],
        "teacher_u": [0.10, -0.06], "teacher_v": [0.22, -0.10],
        "center": [0.1, -0.1], "temperatures": (0.1, 0.04),
    },
}  # fmt: skip


def logits(case, name, requires_grad=False):
    return torch.tensor([CASES[case][name]], dtype=torch.float64, requires_grad=requires_grad)


def term(case, teacher, student, *, center=None, temperatures=None):
    """-P_t(teacher) log P_s(student)."""
    return distillation_loss(
        student if isinstance(student, torch.Tensor) else logits(case, f"student_{student}"),
        logits(case, f"teacher_{teacher}"),
        torch.tensor(CASES[case]["center"] if center is None else center, dtype=torch.float64),
        *(temperatures or CASES[case]["temperatures"]),
    )


@pytest.mark.parametrize("case", ["a", "b"])
def test_the_crossed_terms_and_their_sum(case):
    u_to_v, v_to_u = term(case, "u", "v"), term(case, "v", "u")

    assert u_to_v.item() == pytest.approx(0.664811, abs=1e-6)
    assert v_to_u.item() == pytest.approx(0.360688, abs=1e-6)
    assert (u_to_v + v_to_u).item() == pytest.approx(1.025498, abs=1e-6)
    same_view = term(case, "u", "u") + term(case, "v", "v")
    assert same_view.item() == pytest.approx(3.076397, abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ({"center": [0.0, 0.0]}, 2.404553),  # forgotten
        ({"center": [-0.1, 0.1]}, 2.439945),  # added
        ({"temperatures": (0.04, 0.1)}, 2.670855),  # exchanged
    ],
    ids=str,
)
def test_what_a_wrong_center_or_temperature_would_give(wrong, value):
    total = term("b", "u", "v", **wrong) + term("b", "v", "u", **wrong)

    assert total.item() == pytest.approx(value, abs=1e-6)


def test_the_gradient_is_the_difference_of_the_distributions():
    u, v = (logits("a", f"student_{name}", requires_grad=True) for name in "uv")

    (term("a", "u", v) + term("a", "v", u)).backward()

    assert u.grad.tolist()[0] == pytest.approx([-0.221516, 0.221516], abs=1e-6)
    assert v.grad.tolist()[0] == pytest.approx([-0.149738, 0.149738], abs=1e-6)


@pytest.mark.parametrize(("k", "mean"), [(65_536, 11.090355), (8_192, 9.010913)])
def test_a_uniform_student_costs_the_logarithm_of_the_number_of_prototypes(k, mean):
    teacher = torch.zeros(1, k, dtype=torch.float64)
    teacher[0, 3] = 5.0

    one = distillation_loss(torch.zeros_like(teacher), teacher, torch.zeros(k).double(), 0.1, 0.04)

    assert one.item() == pytest.approx(mean, abs=1e-6)


SIZE = 4


def keep_of(removes_few):
    """S is (0,0), (0,1), (0,3): Com keeps it, RCom removes it; half of the spectrum is stored."""
    few = torch.zeros(1, 1, SIZE, SIZE // 2 + 1, dtype=torch.bool)
    few[..., 0, :2] = True
    return ~few if removes_few else few


def errors(channels=1):
    """The errors of the reconstruction of both views."""
    u = torch.full((1, channels, SIZE, SIZE), 0.05, dtype=torch.float64)
    u[..., 1, 2] += 0.8
    v = torch.full((1, channels, SIZE, SIZE), 0.025, dtype=torch.float64)
    v[..., 3, 1] += 0.4
    return u, v


COM, RCOM = keep_of(removes_few=False), keep_of(removes_few=True)


def reconstruction(loss, channels=1, **settings):
    return [
        loss(error, torch.zeros_like(error), keep, **settings).item()
        for error, keep in zip(errors(channels), (COM, RCOM), strict=True)
    ]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("loss", "settings", "u", "v", "both"),
    [
        (masked_frequency_loss, {}, 0.2, 0.133333, 0.166667),
        (masked_frequency_loss, {"normalize": "image"}, 0.2, 0.133333, 0.166667),
        (masked_frequency_loss, {"gamma": 2.0}, 0.04, 0.02, 0.03),
        (masked_frequency_loss, {"region": "all"}, 0.2125, 0.10625, 0.159375),
        (masked_frequency_norm, {}, 2.884441, 0.979796, 1.932118),
    ],
)
def test_the_reconstruction_of_each_view_and_their_mean(loss, settings, u, v, both, channels):
    of_u, of_v = reconstruction(loss, channels, **settings)

    assert of_u == pytest.approx(u, abs=1e-6)
    assert of_v == pytest.approx(v, abs=1e-6)
    assert 0.5 * (of_u + of_v) == pytest.approx(both, abs=1e-6)


def test_the_kept_frequencies_would_give_another_loss():
    u, v = errors()
    of_u = masked_frequency_loss(u, torch.zeros_like(u), RCOM).item()
    of_v = masked_frequency_loss(v, torch.zeros_like(v), COM).item()

    assert (of_u, of_v) == pytest.approx((0.266667, 0.1), abs=1e-6)


def test_denominators_pooled_over_both_views_would_give_another_loss():
    u, v = errors()
    pooled = masked_frequency_loss(
        torch.cat([u, v]), torch.zeros(2, 1, SIZE, SIZE).double(), torch.cat([COM, RCOM])
    )

    assert pooled.item() == pytest.approx(0.1875, abs=1e-6)


class Given(nn.Module):
    """Gives logits, or a reconstruction, one after the other, whatever it is shown."""

    def __init__(self, values):
        super().__init__()
        self.values = values
        self.last_layer = nn.Linear(1, 2)

    def forward(self, *_):
        return self.values


@pytest.mark.parametrize(
    ("alpha", "reduce", "form", "total"),
    [
        (1.0, "sum", "mfm", 1.192165),
        (1.0, "mean", "mfm", 0.679416),
        (0.5, "sum", "mfm", 0.679416),
        (2.0, "mean", "mfm", 1.192165),
        (0.0, "sum", "mfm", 0.166667),
        (1.0, "sum", "norm", 2.957617),
    ],
)
@pytest.mark.parametrize("case", ["a", "b"])
def test_the_total_of_a_whole_step(case, alpha, reduce, form, total):
    """The module that trains, with an encoder and heads that give the numbers of the example."""
    encoder = nn.Module()
    encoder.num_features, encoder.feature_info = 1, [{"reduction": 4}]
    encoder.forward_features = lambda images: torch.zeros(len(images), 1, 1, 1).double()
    student_temperature, teacher_temperature = CASES[case]["temperatures"]
    model = FOLK(
        encoder,
        ComRComFilter(),
        DistillationHead(1, out_features=2, hidden=1, bottleneck=1),
        Distillation(alpha=alpha, reduce=reduce, student_temperature=student_temperature),
        Reconstruction(form=form, clamp=False),
        mean=[0.0] * 3,
        std=[1.0] * 3,
    ).double()
    model.distillation_head = Given(
        torch.cat([logits(case, "student_u"), logits(case, "student_v")])
    )
    model.teacher_head = Given(torch.cat([logits(case, "teacher_u"), logits(case, "teacher_v")]))
    model.centering.center.copy_(torch.tensor(CASES[case]["center"]))
    image = torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64)
    model.reconstruction_head = Given(torch.cat([image + error for error in errors(channels=3)]))

    losses = model([image, image], [COM, RCOM], teacher_temperature=teacher_temperature)

    assert losses["loss"].item() == pytest.approx(total, abs=1e-6)


def test_the_teacher_follows_by_the_printed_average():
    teacher, student = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))
    steps = []
    for _ in range(3):
        ema_update([teacher], [student], 0.996)
        steps.append(teacher.item())

    assert steps == pytest.approx([0.996, 0.992016, 0.988048], abs=1e-6)
    momenta = [cosine(update, 3, 0.996, 1.0) for update in range(3)]
    assert momenta == pytest.approx([0.996, 0.998, 1.0], abs=1e-12)
