"""The alternatives to an assumed value are those that the recipe's type would accept."""

import pytest

from folk.stages.recipes.choices import other_choices

FOLK = {
    "method": {
        "filter": {"kind": "com-rcom", "threshold_mode": "fraction", "mask_channels": "shared"},
        "reconstruction": {"clamp": True, "gamma": 1.0},
        "distillation": {"feature": "cls"},
    },
    "optim": {"precision": "bf16"},
}


@pytest.mark.parametrize(
    ("key", "others"),
    [
        ("method.filter.threshold_mode", ["relative_max"]),
        ("method.filter.mask_channels", ["per_channel"]),
        ("method.reconstruction.clamp", [False]),
        ("method.distillation.feature", ["mean"]),
        ("optim.precision", ["fp32"]),
        ("method.reconstruction.gamma", []),  # a number: there is no list
        ("method.nothing", []),
    ],
)
def test_the_other_words_of_a_key_are_listed(key, others):
    assert other_choices("pretrain", FOLK, key) == others


def test_another_kind_of_filter_is_an_alternative_to_a_kind():
    found = other_choices("pretrain", FOLK, "method.filter.kind")

    assert {"radial", "gabor", "random"} <= set(found)
    assert "com-rcom" not in found


def test_a_key_of_another_kind_of_filter_is_none_of_this_one():
    radial = {"method": {"filter": {"kind": "radial"}}}

    assert other_choices("pretrain", radial, "method.filter.threshold_mode") == []
