"""What the report shows of a filter is what the student saw."""

import torch

from folk.filters.com_rcom import ComRComFilter
from folk.filters.radial import radial_keep
from folk.filters.rng import BatchRng
from folk.stages.examples import centered


def test_a_centered_mask_is_the_whole_circle_in_the_middle():
    whole = centered(radial_keep((32, 32), 5.0)[None], 32)[0]
    offset = torch.arange(32) - 16

    assert torch.equal(whole, offset[:, None] ** 2 + offset[None] ** 2 < 25)


def test_a_centered_mask_is_symmetric_about_the_mean_color():
    images = torch.rand(3, 3, 31, 31, generator=torch.Generator().manual_seed(0))
    com = ComRComFilter(thresholds=(0.05,), p_com=1.0)
    whole = centered(com(images, BatchRng(0, len(images)))[:, 0], 31)

    assert torch.equal(whole, whole.flip(1, 2))
    assert whole[:, 15, 15].all()


def test_each_threshold_is_shown_from_both_sides():
    assert [name for name, _ in ComRComFilter(thresholds=(0.01, 0.05)).sides()] == [
        "Com 0.01",
        "RCom 0.01",
        "Com 0.05",
        "RCom 0.05",
    ]
