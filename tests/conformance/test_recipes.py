"""The recipes of the papers' size come to the values that the papers and their code give."""

from pathlib import Path

import pytest
import torch
from torch import nn

from folk.models.encoder import create_encoder, create_model
from folk.stages.optimization import optimizer_and_schedule
from folk.stages.recipes import result_values
from folk.stages.table import load_recipe
from folk.stages.tasks.pretrain import build_method
from folk.training.optimizer import layer_decay_groups
from folk.training.schedules import current_rate

FOLDER = Path("config/recipes")
NUM_TRAIN, NUM_TEN_PERCENT = 1_281_167, 128_116

SMALLER = ("demo", "fashion", "imagenet-100", "cifar")
PRETRAIN = [
    path.stem
    for path in sorted((FOLDER / "pretrain").glob("*.yaml"))
    if not path.stem.startswith(SMALLER)
]
TRAINED = [name for name in PRETRAIN if not name.startswith("scratch")]


def recipe(stage, name):
    return load_recipe(stage, FOLDER / stage / f"{name}.yaml")


def rates(optim, num_images=NUM_TRAIN):
    """The rate before each of some updates, by the code that trains."""
    per_epoch = num_images // optim.batch
    groups = [{"params": [nn.Parameter(torch.zeros(1))]}]
    optimizer, schedule = optimizer_and_schedule(optim, groups, per_epoch)

    def rate(epoch: float) -> float:
        schedule.step_update(round(epoch * per_epoch))
        return current_rate(optimizer.param_groups)

    return rate


@pytest.mark.parametrize("name", TRAINED)
def test_every_pre_training_has_mfms_optimizer_rates_and_number_of_updates(name):
    optim = recipe("pretrain", name).optim

    assert (optim.optimizer, optim.betas, optim.eps) == ("adamw", [0.9, 0.95], 1e-8)
    assert (optim.weight_decay, optim.clip_grad) == (0.05, 3.0)
    assert NUM_TRAIN // optim.batch == 625
    assert optim.epochs * 625 == 187_500
    rate = rates(optim)
    assert rate(0) == pytest.approx(1e-6)
    assert rate(20 - 1 / 625) == pytest.approx(1.2e-3, rel=1e-3)
    assert rate(20) == pytest.approx(1.187e-3, abs=5e-7), "the cosine counts from step 0"
    assert rate(300 - 1 / 625) == pytest.approx(1e-5, rel=1e-3)


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_of_the_papers_size_can_be_built(name):
    found = recipe("pretrain", name)

    with torch.device("meta"):  # sizes only: no weights are drawn
        encoder = create_encoder(found.encoder.timm_name, found.encoder.timm_args)
        model = build_method(found.method, encoder)

    assert found.views.size == 224
    if found.method.distillation is not None:
        assert tuple(model.distillation_head.last_layer.weight.shape) == (65536, 256)


@pytest.mark.parametrize("name", PRETRAIN)
def test_vits_start_as_beit_and_other_encoders_as_timm_has_them(name):
    encoder = recipe("pretrain", name).encoder

    wanted = {"small": "vit_small_patch16_224", "base": "vit_base_patch16_224",
              "resnet50": "resnet50", "tiny": "swin_tiny_patch4_window7_224"}  # fmt: skip
    assert encoder.timm_name == wanted[name.rpartition("-")[2]]
    assert encoder.init == ("beit" if encoder.timm_name.startswith("vit") else "timm")


@pytest.mark.parametrize("path", sorted((FOLDER / "pretrain").glob("*.yaml")), ids=lambda p: p.stem)
def test_no_encoder_drops_anything_while_it_is_pre_trained(path):
    encoder = load_recipe("pretrain", path).encoder
    with torch.device("meta"):
        model = create_encoder(encoder.timm_name, encoder.timm_args)

    dropped = [
        name
        for name, module in model.named_modules()
        if getattr(module, "drop_prob", 0.0)
        or getattr(module, "drop_rate", 0.0)
        or (isinstance(module, nn.Dropout) and module.p)
    ]
    assert dropped == []


@pytest.mark.parametrize(
    ("name", "probability"),
    [("mfm-vit-small", 0.5), ("mfm-vit-base", 0.5), ("mfm-resnet50", 0.3),
     ("mfm-distill-vit-small", 0.5), ("mfm-distill-vit-base", 0.5)],
)  # fmt: skip
def test_mfms_circle_has_radius_16_at_224_px_and_the_published_coin(name, probability):
    chosen = recipe("pretrain", name).method.filter

    assert (chosen.kind, chosen.radius, chosen.radius_size) == ("radial", 16.0, 224)
    assert chosen.low_pass_prob == probability
    # Share of the batch's denominator that high-pass images have: 1.6 % and 3.6 %.
    high, low = (1 - probability) * 793, probability * 49_383
    assert high / (high + low) == pytest.approx({0.5: 0.016, 0.3: 0.036}[probability], abs=5e-4)


@pytest.mark.parametrize("name", ["mfm-com-vit-small", "mfm-com-resnet50", "folk-vit-base"])
def test_com_and_rcom_have_folks_three_thresholds(name):
    chosen = recipe("pretrain", name).method.filter

    assert chosen.kind == "com-rcom"
    assert list(chosen.thresholds) == [0.005, 0.01, 0.05]
    assert (chosen.p_com, chosen.mask_channels) == (0.5, "shared")


def test_the_random_baseline_differs_from_folk_in_the_filter_alone():
    folk, baseline = (
        result_values(recipe("pretrain", f"{name}-vit-small")) for name in ("folk", "random")
    )
    informed, uninformed = (values["method"].pop("filter") for values in (folk, baseline))

    assert baseline == folk
    assert uninformed == {
        "kind": "random",
        "p_few": informed["p_com"],
        **{key: informed[key] for key in ("thresholds", "threshold_draw", "pairing")},
    }


def test_the_head_of_resnet_50_sees_the_pooled_map():
    assert recipe("pretrain", "folk-resnet50").method.distillation.feature == "mean"
    assert recipe("pretrain", "folk-vit-base").method.distillation.feature == "cls"


@pytest.mark.parametrize(("name", "epochs"), [("mfm-vit-base", 100), ("mfm-vit-small", 200)])
def test_full_fine_tuning_has_mfms_rates_and_decays_14_groups(name, epochs):
    found = recipe("finetune", name)
    rate = rates(found.optim)

    assert found.optim.epochs == epochs
    assert rate(0) == pytest.approx(1e-6)
    assert rate(5 - 1 / 625) == pytest.approx(8e-3, rel=1e-3)
    assert rate(epochs - 1 / 625) == pytest.approx(1e-6, rel=1e-1)
    with torch.device("meta"):
        model = create_model("vit_base_patch16_224", {"num_classes": 1000, "global_pool": "avg"})
    groups = layer_decay_groups(model, found.optim.weight_decay, found.optim.layer_decay)
    scales = {group["lr_scale"] for group in groups}
    assert len(scales) == 14
    assert min(scales) == pytest.approx(0.8**13)
    augment = found.augment
    assert (augment.mixup, augment.cutmix, augment.smoothing) == (0.8, 1.0, 0.1)
    assert (augment.rand_augment, augment.random_erasing) == ("rand-m9-mstd0.5-inc1", 0.25)
    assert (found.drop_path, found.evaluate.resize, found.evaluate.crop) == (0.1, 256, 224)


# Epoch -> rate, by the caption of FOLK's Table 2: from 0 to the peak, then a cosine down to 0.
FEW = {
    "a": (0.0, {0: 2e-4, 50: 1.70711e-4, 100: 1e-4, 150: 2.92893e-5, 200: 0.0}),
    "b": (100.0, {0: 0.0, 50: 1e-4, 100: 2e-4, 150: 1e-4, 200: 0.0}),
    "c": (5.0, {0: 0.0, 2.5: 1e-3, 5: 2e-3, 102.5: 1e-3, 200: 0.0}),
    "a-long": (0.0, {0: 2e-4, 500: 1e-4, 1000: 0.0}),
    "b-long": (100.0, {0: 0.0, 100: 2e-4, 550: 1e-4, 1000: 0.0}),
    "c-long": (5.0, {0: 0.0, 5: 2e-3, 502.5: 1e-3, 1000: 0.0}),
}


@pytest.mark.parametrize("size", ["small", "base"])
@pytest.mark.parametrize("setting", FEW)
def test_folks_three_settings_of_few_labels(setting, size):
    warmup, expected = FEW[setting]
    optim = recipe("finetune", f"few-{setting}-vit-{size}").optim

    assert (optim.epochs, optim.warmup_epochs) == (1000 if "long" in setting else 200, warmup)
    assert NUM_TEN_PERCENT // optim.batch == 62
    rate = rates(optim, NUM_TEN_PERCENT)
    assert [rate(epoch) for epoch in expected] == pytest.approx(
        list(expected.values()), rel=1e-5, abs=1e-12
    )


def test_a_rate_for_512_images_would_be_four_times_as_large():
    optim = recipe("finetune", "few-a-vit-small").optim.model_copy(update={"lr_batch": 512})

    assert rates(optim, NUM_TEN_PERCENT)(0) == pytest.approx(8e-4)


@pytest.mark.parametrize(
    ("name", "epochs", "size", "lr", "randaugment", "repeats", "drop_path"),
    [
        ("rsb-a2", 300, 224, 5e-3, "rand-m7-mstd0.5-inc1", 3, 0.05),
        ("rsb-a3", 100, 160, 8e-3, "rand-m6-mstd0.5-inc1", 1, 0.0),
    ],
)
def test_resnet_50_is_fine_tuned_by_the_table_of_rsb(
    name, epochs, size, lr, randaugment, repeats, drop_path
):
    found = recipe("finetune", name)
    augment, optim = found.augment, found.optim

    assert (optim.optimizer, optim.batch, optim.epochs) == ("lamb", 2048, epochs)
    assert (optim.weight_decay, optim.warmup_epochs) == (0.02, 5.0)
    assert max(rates(optim)(5 - 1 / 625), rates(optim)(5)) == pytest.approx(lr, rel=1e-2)
    assert (augment.size, augment.rand_augment, augment.repeats) == (size, randaugment, repeats)
    assert (augment.mixup, augment.cutmix, augment.smoothing) == (0.1, 1.0, 0.0)
    assert (found.loss, found.bce_threshold, found.drop_path) == ("bce", 0.2, drop_path)
    assert rates(optim)(0) == pytest.approx(1e-4)
    assert (found.evaluate.resize, found.evaluate.crop) == (236, 224)


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("one-percent", "71e82a48ba78252683ae334c4d019ebd5c6e855b9599c1389fbe83eb9549cf17"),
        ("ten-percent", "6d09de11e7bdaf5b1f3b1f249b6183695f97310cdd20f0c03e7235b6b9392091"),
    ],
)
def test_the_lists_of_simclr_have_their_digests(name, sha256):
    assert recipe("split", name).list_sha256 == sha256


def test_ade20k_follows_beit():
    found = recipe("segment", "ade20k-vit-base")
    optim = found.optim

    assert found.decoder.blocks == [3, 5, 7, 11]
    assert (found.decoder.dropout, found.decoder.auxiliary_weight) == (0.1, 0.4)
    assert (found.decoder.auxiliary_channels, found.augment.max_class_share) == (256, 0.75)
    assert (found.window.size, found.window.stride) == (512, 341)
    assert (optim.updates, optim.batch, optim.warmup_updates) == (160_000, 16, 1500)
    assert (optim.lr, optim.layer_decay, optim.power) == (7e-4, 0.65, 1.0)
    assert optim.lr_warmup_start == pytest.approx(optim.lr * 1e-6)


@pytest.mark.parametrize(
    ("name", "neighbors", "line"),
    [
        ("imagenet-vit-small", "cls", "last-4-cls"),
        ("imagenet-vit-base", "cls", "cls-and-mean"),
        ("imagenet-resnet50", "mean", "mean"),
    ],
)
def test_frozen_features_are_measured_as_dino_does(name, neighbors, line):
    found = recipe("probe", name)

    assert (found.feature, found.linear.feature) == (neighbors, line)
    assert (found.knn.k, found.knn.temperature) == ([10, 20, 100, 200], 0.07)
    linear = found.linear
    assert (linear.views, linear.epochs, linear.momentum) == ("crops", 100, 0.9)
    assert (linear.lr, linear.lr_batch, linear.weight_decay) == (1e-3, 256, 0.0)
    assert linear.interpolation == "bilinear"


@pytest.mark.parametrize(
    "name", ["imagenet-vit-small", "imagenet-vit-base", "imagenet-resnet50", "demo-full"]
)
def test_few_labels_are_centered_image_by_image_as_msn_does(name):
    assert recipe("probe", name).kshot.center == "image"


def test_few_labels_have_msns_lambda():
    assert recipe("probe", "imagenet-vit-small").kshot.weight_decay == 0.0025
