"""The half plane's shortcuts are exact."""

import pytest
import torch

from folk.filters import spectrum
from folk.filters.spectrum import half_spectrum, squared_moduli, weighted_inverse


@pytest.mark.parametrize("size", [(6, 8), (8, 7), (5, 5)])
def test_the_gradient_of_the_squared_moduli_is_that_of_finite_differences(size):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, *size, generator=generator).double().requires_grad_()

    assert torch.autograd.gradcheck(squared_moduli, images)


@pytest.mark.parametrize("shared", [True, False])
def test_blocks_of_images_have_the_bits_of_all_at_once(shared, monkeypatch):
    images = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    transformed = half_spectrum(images)
    weights = torch.rand(5, 1 if shared else 3, 16, 9)
    at_once = torch.fft.irfft2(transformed * weights, s=(16, 16))

    for images_in_a_block in (0, 1, 2, 9):
        monkeypatch.setattr(spectrum, "BLOCK_BYTES", images_in_a_block * transformed[0].nbytes)

        assert torch.equal(weighted_inverse(transformed, weights, 16), at_once)
