"""Arguments of an encoder that no stage can serve are refused when the recipe is read."""

import pytest

from folk.stages.recipes.base import Encoder


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"in_chans": 1}, "timm_args.in_chans: expected 3, got 1"),
        ({"num_classes": 10}, "timm_args.num_classes: the stages set it"),
    ],
)
def test_color_channels_and_classes_are_not_the_recipes_to_choose(args, complaint):
    with pytest.raises(ValueError, match=complaint):
        Encoder(timm_name="vit_tiny_patch16_224", timm_args=args, init="timm", checkpoint=None)


def test_three_colors_may_be_named():
    Encoder(timm_name="resnet50", timm_args={"in_chans": 3}, init="timm", checkpoint=None)
