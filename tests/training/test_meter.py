"""Arithmetic is counted as by hand; memory and time are those of the computation."""

import time

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from folk.training.meter import PeakMemory, count_flops, seconds_of

CPU = torch.device("cpu")


def test_a_linear_layer_costs_two_operations_a_weight_and_image():
    layer = nn.Linear(7, 5, bias=False)

    assert count_flops(lambda: layer(torch.rand(3, 7))) == 2 * 3 * 7 * 5


def test_a_backward_pass_costs_twice_the_forward_pass():
    layer = nn.Linear(7, 5, bias=False)
    inputs = torch.rand(3, 7, requires_grad=True)

    assert count_flops(lambda: layer(inputs).sum().backward()) == 3 * 2 * 3 * 7 * 5


def test_attention_is_two_matrix_products():
    q, k, v = torch.rand(3, 1, 2, 6, 4)  # one image, 2 heads, 6 tokens, 4 wide

    flops = count_flops(lambda: scaled_dot_product_attention(q, k, v))

    assert flops == 2 * (2 * 2 * 6 * 6 * 4)


def test_a_convolution_is_counted_once_for_each_position():
    layer = nn.Conv2d(3, 8, kernel_size=4, stride=4, bias=False)

    assert count_flops(lambda: layer(torch.rand(1, 3, 16, 16))) == 2 * 16 * 8 * 3 * 4 * 4


def test_time_is_that_of_the_call():
    assert 0.05 <= seconds_of(lambda: time.sleep(0.05), CPU) < 5.0


def test_memory_grows_by_what_is_held_even_if_it_is_given_back():
    memory = PeakMemory(CPU)
    held = torch.ones(2**26)  # 256 MiB
    del held

    assert memory.kind == "growth of the resident set"
    assert 200 * 2**20 < memory.bytes() < 2**30
