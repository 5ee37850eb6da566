"""Process group of a training, set up from torchrun's environment."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from folk.training.host_memory import keep_freed_memory

Value = TypeVar("Value")


@dataclass(frozen=True)
class World:
    """This process among those of its job."""

    rank: int
    size: int
    device: torch.device
    deadline: float = math.inf  # in time.monotonic(); a training stops by itself after it

    @property
    def is_main(self) -> bool:
        """True in the one process that writes files."""
        return self.rank == 0

    @property
    def can_synchronize_batch_norm(self) -> bool:
        """True if batch norm can take its statistics from the images of all processes.

        torch's SyncBatchNorm computes on CUDA only: several processes on CPUs keep their own.
        """
        return self.size > 1 and self.device.type == "cuda"

    def out_of_time(self) -> bool:
        """True if a training must stop now; processes may differ, see `any`."""
        return time.monotonic() >= self.deadline

    def wrap(self, module: nn.Module, compiled: bool = False) -> nn.Module:
        """Average gradients over all processes, where there are several.

        Args:
            module: the trained module; it shares its parameters with the wrapper.
            compiled: let torch.compile fuse its kernels, which needs a compiler on the machine.
        """
        if self.size > 1:
            devices = [self.device] if self.device.type == "cuda" else None
            module = DistributedDataParallel(module, device_ids=devices)
        # Outermost, so that it cuts its graph where gradients are averaged.
        return torch.compile(module) if compiled else module  # type: ignore[return-value]

    def share(self, count: int) -> slice:
        """Slice of the whole batch that holds this process's `count` images."""
        return slice(self.rank * count, (self.rank + 1) * count)

    def sum(self, value: Tensor) -> Tensor:
        """Sum a tensor over all processes; a new tensor, without gradient."""
        total = value.detach().clone()
        if self.size > 1:
            dist.all_reduce(total)
        return total

    def mean(self, scalars: dict[str, Tensor]) -> dict[str, float]:
        """Average scalars of the local batches over all processes, as numbers."""
        if self.size == 1:
            return {name: float(value) for name, value in scalars.items()}
        values = torch.stack([value.float().to(self.device) for value in scalars.values()])
        return dict(zip(scalars, (self.sum(values) / self.size).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Return True in all processes if the flag is set in any."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self.device)).item())

    def gather(self, value: Value) -> list[Value]:
        """Gather the value of every process, in the order of ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def open_world(threads: int, seconds: float = math.inf) -> Iterator[World]:
    """Set this process up: threads, deterministic kernels, device, memory, process group.

    Args:
        threads: CPU threads of this process. A fixed number belongs to a repeatable result.
        seconds: time from now in which a training may make updates.

    Yields:
        the world; its process group is closed at the end.
    """
    deadline = time.monotonic() + seconds
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
        keep_freed_memory()
    if size > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank, size, device, deadline)
    finally:
        if size > 1:
            dist.destroy_process_group()
