"""A GPU of shapes and devices only: what a CUDA run would refuse is refused on a CPU.

torch's fake tensors compute nothing, but each operation checks the devices of its inputs.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from folk.filters import rng
from folk.filters.rng import BatchRng, draw_per_image
from folk.training.distributed import World

CUDA = torch.device("cuda", 0)


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Let tensors be on `CUDA`; random numbers of the CPU stay real, since code reads them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("uniform", "integers", "integer"):
            patch.setattr(BatchRng, name, _real(getattr(BatchRng, name)))
        patch.setattr(rng, "draw_per_image", _drawn_near)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            patch.setattr(World, "place", lambda _world, module: _placed(module, mode))
            yield


def _real(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def really(*values: Any) -> Any:
        with unset_fake_temporarily():
            return function(*values)

    return really


def _drawn_near(seeds: Any, draw: Any, device: torch.device) -> torch.Tensor:
    return _real(draw_per_image)(seeds, draw, torch.device("cpu")).to(device, non_blocking=True)


def _placed(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    # By hand: torch cannot turn a real parameter into a fake one by `.to`.
    for part in module.modules():
        for name, own in part._parameters.items():
            if own is not None:
                data = mode.from_tensor(own.data).to(CUDA)
                part._parameters[name] = nn.Parameter(data, requires_grad=own.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = mode.from_tensor(buffer).to(CUDA)
    return module


class BlockingCopies(TorchDispatchMode):
    """Notes each copy from the host to the device for which the host waits."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            goes = kwargs.get("device")
            moves = args[0].device.type == "cpu" and goes is not None and goes.type == "cuda"
            if moves and not kwargs.get("non_blocking"):
                self.found.append(f"{list(args[0].shape)} {args[0].dtype}")
        return func(*args, **kwargs)
