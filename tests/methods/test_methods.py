"""Who sees what, who learns from what."""

import copy

import pytest
import torch

from folk.filters.com_rcom import ComRComFilter
from folk.filters.radial import RadialFilter
from folk.filters.rng import BatchRng
from folk.filters.unfiltered import Unfiltered
from folk.methods.base import Reconstruction
from folk.methods.degradations import SuperResolution
from folk.methods.distillation import DistillationHead
from folk.methods.folk import FOLK, Distillation
from folk.methods.losses import (
    WeightMatrix,
    distillation_loss,
    masked_frequency_loss,
    removed_count,
)
from folk.methods.mfm import MFM
from folk.methods.restoration import Restoration
from folk.models.encoder import create_encoder, encode

FILTER = ComRComFilter(thresholds=(0.05, 0.1))
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
TINY_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture(params=["vit", "resnet"])
def student_teacher(request):
    torch.manual_seed(0)
    if request.param == "vit":
        encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    else:
        encoder = create_encoder("resnet10t", {})
    head = DistillationHead(encoder.num_features, out_features=32, hidden=24, bottleneck=8)
    return FOLK(encoder, FILTER, head, mean=MEAN, std=STD)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    u, v = torch.rand(2, 4, 3, 32, 32, generator=generator)
    return [u, v], [*FILTER.draw_pair(u, v, BatchRng(0, 4))]


def test_every_trained_parameter_gets_a_gradient_and_the_teacher_gets_none(student_teacher, batch):
    student_teacher(*batch, teacher_temperature=0.04)["loss"].backward()

    for name, parameter in student_teacher.named_parameters():
        if name.startswith("teacher_"):
            assert not parameter.requires_grad, name
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name


def test_the_distillation_head_learns_only_from_distillation(student_teacher, batch):
    silent = FOLK(
        student_teacher.encoder,
        FILTER,
        student_teacher.distillation_head,
        Distillation(alpha=0.0),
    )

    silent(*batch, teacher_temperature=0.04)["loss"].backward()

    assert all(not p.grad.any() for p in silent.distillation_head.parameters())
    assert any(p.grad.any() for p in silent.reconstruction_head.parameters())
    assert any(p.grad.any() for p in silent.encoder.parameters())


def test_the_reconstruction_head_learns_only_from_the_reconstruction(student_teacher, batch):
    def gradient(alpha):
        model = copy.deepcopy(student_teacher)
        model.distillation = Distillation(alpha=alpha)
        model(*batch, teacher_temperature=0.04)["loss"].backward()
        return [p.grad for p in model.reconstruction_head.parameters()]

    for without, with_distillation in zip(gradient(0.0), gradient(10.0), strict=True):
        torch.testing.assert_close(without, with_distillation)


def test_without_reconstruction_and_filter_the_method_is_plain_self_distillation(
    student_teacher, batch
):
    views, _ = batch
    plain = FOLK(
        student_teacher.encoder,
        Unfiltered(),
        student_teacher.distillation_head,
        reconstruction=Reconstruction(weight=0.0),
    ).eval()
    keeps = plain.corrupt(views, BatchRng(0, 4))
    losses = plain(views, keeps, teacher_temperature=0.04)

    def student(view):
        return plain.distillation_head(encode(plain.encoder, plain.normalize(view)).pooled("cls"))

    center = plain.centering.center
    (u, v), teacher = views, plain.teacher_logits
    expected = distillation_loss(student(v), teacher(u), center, 0.1, 0.04) + distillation_loss(
        student(u), teacher(v), center, 0.1, 0.04
    )
    torch.testing.assert_close(losses["loss"], expected, atol=1e-4, rtol=1e-4)
    assert "loss/reconstruction" not in losses
    assert plain.reconstruction_head is None


def test_the_weight_multiplies_the_reconstruction_alone(student_teacher, batch):
    one = student_teacher(*batch, teacher_temperature=0.04)
    student_teacher.reconstruction = Reconstruction(weight=0.25)
    quarter = student_teacher(*batch, teacher_temperature=0.04)

    saved = one["loss"] - quarter["loss"]
    torch.testing.assert_close(saved, 0.75 * one["loss/reconstruction"], atol=1e-5, rtol=1e-4)


def test_views_are_crossed(student_teacher, batch):
    (u, v), (keep_u, keep_v) = batch
    student_teacher.eval()  # the reference below runs each view alone
    parts = student_teacher(*batch, teacher_temperature=0.04)

    def student(view, keep):
        seen = student_teacher.normalize(student_teacher.filtered(view, keep).clamp(0.0, 1.0))
        return student_teacher.distillation_head(
            encode(student_teacher.encoder, seen).pooled("cls")
        )

    center = student_teacher.centering.center
    teacher_u, teacher_v = student_teacher.teacher_logits(u), student_teacher.teacher_logits(v)
    crossed = distillation_loss(
        student(u, keep_u), teacher_v, center, 0.1, 0.04
    ) + distillation_loss(student(v, keep_v), teacher_u, center, 0.1, 0.04)
    same_view = distillation_loss(
        student(u, keep_u), teacher_u, center, 0.1, 0.04
    ) + distillation_loss(student(v, keep_v), teacher_v, center, 0.1, 0.04)

    torch.testing.assert_close(parts["loss/distillation"], crossed.detach())
    assert abs(crossed - same_view) > 1e-5


def test_the_student_never_sees_what_was_removed(batch):
    (u, _), (keep_u, _) = batch
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    model = MFM(encoder, FILTER, Reconstruction(clamp=False))
    noise = torch.fft.irfft2(torch.fft.rfft2(torch.rand_like(u)) * ~keep_u, s=(32, 32))

    torch.testing.assert_close(
        model.reconstruct(u, keep_u), model.reconstruct(u + noise, keep_u), atol=1e-4, rtol=1e-4
    )


def test_the_target_is_the_normalized_unfiltered_image(batch):
    (u, _), (keep_u, _) = batch
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    model = MFM(encoder, FILTER, mean=MEAN, std=STD)

    parts = model([u], [keep_u])

    mean, std = (torch.tensor(x)[:, None, None] for x in (MEAN, STD))
    expected = masked_frequency_loss(model.reconstruct(u, keep_u), (u - mean) / std, keep_u)
    torch.testing.assert_close(parts["loss/reconstruction"], expected.detach())
    torch.testing.assert_close(parts["loss"], expected)


def test_the_loss_is_alpha_times_the_distillation_plus_the_reconstruction(batch):
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    head = DistillationHead(24, out_features=32, hidden=24, bottleneck=8)
    model = FOLK(encoder, FILTER, head, Distillation(alpha=0.5))

    parts = model(*batch, teacher_temperature=0.04)

    total = parts["loss/reconstruction"] + 0.5 * parts["loss/distillation"]
    torch.testing.assert_close(parts["loss"].detach(), total)


@pytest.mark.parametrize(
    "setting",
    [
        {"normalize": "image"},
        {"gamma": 2.0},
        {"region": "all"},
        {"weight_matrix": WeightMatrix()},
        {"region": "all", "average_spectrum": True},
    ],
    ids=str,
)
def test_what_a_recipe_says_of_the_loss_reaches_it(batch, setting):
    (u, _), (keep, _) = batch
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    model = MFM(encoder, FILTER, Reconstruction(**setting))

    loss, rebuilt = model([u], [keep])["loss"], model.reconstruct(u, keep)

    target = model.normalize(u)
    torch.testing.assert_close(loss, masked_frequency_loss(rebuilt, target, keep, **setting))
    assert abs(loss - masked_frequency_loss(rebuilt, target, keep)) > 1e-5


def test_a_restored_image_is_compared_whole_and_nothing_but_weights_is_stored(batch):
    u, v = batch[0]
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    model = Restoration(encoder, SuperResolution(factor=2))

    parts = model([u], [1.5 * v])

    loss = masked_frequency_loss(model.rebuild(1.5 * v), model.normalize(u), None)
    torch.testing.assert_close(parts["loss/reconstruction"], loss.detach())
    torch.testing.assert_close(parts["loss"], loss)
    assert parts["clipped_share"] == (1.5 * v > 1.0).float().mean()
    stored = {name.partition(".")[0] for name in model.state_dict()}
    assert stored == {"encoder", "reconstruction_head"}


def test_the_parts_of_a_batch_have_the_loss_of_the_batch_as_their_mean(batch):
    (u, v), (keep_u, keep_v) = batch
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    head = DistillationHead(24, out_features=32, hidden=24, bottleneck=8)
    folk = FOLK(encoder, FILTER, head).eval()
    mfm = MFM(encoder, FILTER, mean=MEAN, std=STD).eval()
    # The first part hides more than the second one does.
    keep_u[0], keep_v[:2] = keep_u[0] & keep_u[1], False
    halves = slice(0, 2), slice(2, 4)
    removed = [
        sum(removed_count(keep[half], 32) for half in halves) / 2 for keep in (keep_u, keep_v)
    ]

    both = [
        folk([u[h], v[h]], [keep_u[h], keep_v[h]], removed, teacher_temperature=0.04)
        for h in halves
    ]
    one = [mfm([v[h]], [keep_v[h]], removed[1:]) for h in halves]

    for parts, whole in ((both, folk(*batch, teacher_temperature=0.04)), (one, mfm([v], [keep_v]))):
        for name in (name for name in whole if name.startswith("loss")):
            torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, whole[name])
    alone = sum(mfm([v[h]], [keep_v[h]])["loss"] for h in halves) / 2
    assert abs(alone - mfm([v], [keep_v])["loss"]) > 1e-5


def test_the_teacher_starts_as_the_student_and_follows(student_teacher):
    student, teacher = student_teacher.encoder, student_teacher.teacher_encoder
    start = copy.deepcopy(student.state_dict())
    for key, value in teacher.state_dict().items():
        assert torch.equal(start[key], value), key
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 1.0

    student_teacher.update_teacher(0.75)

    for key, parameter in teacher.named_parameters():
        torch.testing.assert_close(parameter, start[key] + 0.25, msg=key)


def test_the_center_is_made_of_what_was_seen_in_training_only(student_teacher, batch):
    student_teacher.train()
    student_teacher(*batch, teacher_temperature=0.04)
    student_teacher.eval()
    student_teacher(*batch, teacher_temperature=0.04)
    student_teacher.centering.move()

    logits = student_teacher.train().teacher_logits(torch.cat(batch[0])).mean(dim=0)
    torch.testing.assert_close(student_teacher.centering.center, 0.1 * logits)


def test_the_teacher_sees_its_own_views_and_the_student_never_does(student_teacher, batch):
    views, corrupted = batch
    plain = [view.flip(-1) for view in views]
    student_teacher.eval()

    parts = student_teacher([*views, *plain], corrupted, teacher_temperature=0.04)

    same = student_teacher(*batch, teacher_temperature=0.04)
    torch.testing.assert_close(parts["loss/reconstruction"], same["loss/reconstruction"])
    assert abs(parts["loss/distillation"] - same["loss/distillation"]) > 1e-5


def test_the_mean_of_the_crossed_terms_is_half_of_their_sum(student_teacher, batch):
    student_teacher.eval()
    total = student_teacher(*batch, teacher_temperature=0.04)
    student_teacher.distillation = Distillation(reduce="mean")

    mean = student_teacher(*batch, teacher_temperature=0.04)

    torch.testing.assert_close(mean["loss/distillation"], total["loss/distillation"] / 2)
    torch.testing.assert_close(mean["loss/reconstruction"], total["loss/reconstruction"])


def test_a_filter_after_the_normalization_lets_rcom_hide_the_mean_of_the_normalized_image(batch):
    u = batch[0][0]
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    settings = Reconstruction(filter_stage="after", clamp=False)
    model = MFM(encoder, FILTER, settings)
    keep = ComRComFilter(p_com=0.0)(u, BatchRng(0, len(u)))

    shown = model.encoder_input(model.filtered(u, keep))

    torch.testing.assert_close(shown.mean(dim=(2, 3)), torch.zeros(4, 3), atol=1e-5, rtol=0.0)
    assert "clipped_share" not in model([u], [keep])


def test_the_teacher_is_spared_stochastic_depth():
    encoder = create_encoder("vit_tiny_patch16_224", {**TINY_VIT, "drop_path_rate": 0.5})
    head = DistillationHead(24, out_features=32, hidden=24, bottleneck=8)
    model = FOLK(encoder, FILTER, head).train()
    images = torch.rand(8, 3, 32, 32)

    assert torch.equal(model.teacher_logits(images), model.teacher_logits(images))


def test_a_few_steps_of_folk_learn_and_the_teacher_moves():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    encoder = create_encoder("vit_tiny_patch16_224", TINY_VIT)
    head = DistillationHead(24, out_features=32, hidden=24, bottleneck=8)
    model = FOLK(encoder, FILTER, head, Distillation(alpha=0.0))
    before = copy.deepcopy(model.teacher_encoder.state_dict())
    coarse = torch.rand(16, 3, 4, 4, generator=generator)  # noise could not be predicted
    images = torch.nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(0.0, 1.0)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    chooses, losses = RadialFilter(16.0), []

    for step in range(30):
        keep = chooses.draw_pair(images, images, BatchRng(step, 16))
        parts = model([images, images], [*keep], teacher_temperature=0.04)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        model.update_teacher(0.9)
        losses.append(parts["loss"].item())

    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert any(not torch.equal(before[k], v) for k, v in model.teacher_encoder.state_dict().items())
