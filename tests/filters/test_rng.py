"""Random tensors of images are those of their seeds, whoever draws them."""

import pytest
import torch

from folk.filters.rng import draw_per_image


@pytest.mark.parametrize("threads", [1, 3])
def test_each_image_gets_what_a_generator_of_its_seed_gives(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        drawn = draw_per_image(
            torch.tensor([5, 9, 5, 1]),
            lambda own: torch.randn(3, 4, generator=own),
            torch.device("cpu"),
        )
    finally:
        torch.set_num_threads(before)

    expected = [torch.randn(3, 4, generator=torch.Generator().manual_seed(s)) for s in (5, 9, 5, 1)]
    assert torch.equal(drawn, torch.stack(expected))
