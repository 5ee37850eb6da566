"""Kernels and precision are what a recipe asks for; the flags of a GPU can be read anywhere."""

import pytest
import torch

from folk.training.distributed import World, set_numerics

ATTENTION = ("flash", "mem_efficient", "cudnn", "math")


@pytest.fixture(autouse=True)
def _flags_are_restored():
    yield
    for name in ATTENTION:
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(True)
    set_numerics(False, deterministic=False)
    torch.use_deterministic_algorithms(False)


def attention():
    return [name for name in ATTENTION if getattr(torch.backends.cuda, f"{name}_sdp_enabled")()]


@pytest.mark.parametrize(
    ("on_cuda", "deterministic", "repeatable"),
    [(False, False, True), (False, True, True), (True, False, False), (True, True, True)],
)
def test_kernels_are_repeatable_on_a_cpu_and_on_a_gpu_that_is_asked_to(
    on_cuda, deterministic, repeatable
):
    set_numerics(on_cuda, deterministic)

    assert torch.are_deterministic_algorithms_enabled() is repeatable
    assert torch.backends.cudnn.benchmark is not repeatable


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_deterministic_gpu_computes_attention_as_matrix_products(deterministic):
    set_numerics(True, deterministic)

    assert attention() == (["math"] if deterministic else list(ATTENTION))


@pytest.mark.parametrize("on_cuda", [True, False])
def test_float32_is_never_tf32_and_no_memory_is_filled(on_cuda):
    set_numerics(on_cuda, deterministic=True)

    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_networks_have_channels_last_on_a_gpu_alone():
    placed = World(0, 1, torch.device("cpu")).place(torch.nn.Conv2d(4, 4, 3))

    assert placed.weight.is_contiguous()
