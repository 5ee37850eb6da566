"""Process group of a training, set up from torchrun's environment."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from folk.training.host_memory import keep_freed_memory

Value = TypeVar("Value")
BLOCK_BYTES = 2**27  # of rows that processes exchange at once
_NONE = np.empty(0, np.int64), np.empty(0)


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

    def place(self, module: nn.Module) -> nn.Module:
        """Move a network to the device; on a GPU with channels last, as its convolutions want."""
        module = module.to(self.device)
        if self.device.type == "cuda":
            module = module.to(memory_format=torch.channels_last)
        return module

    def wrap(self, module: nn.Module, compiled: bool = False) -> nn.Module:
        """Average gradients over all processes, where there are several.

        Args:
            module: the trained module; it shares its parameters with the wrapper.
            compiled: let torch.compile fuse its kernels, which needs a compiler on the machine.
        """
        if self.size > 1:
            module = DistributedDataParallel(
                module,
                device_ids=[self.device] if self.device.type == "cuda" else None,
                broadcast_buffers=False,  # training needs none of another's; see `share_buffers`
                gradient_as_bucket_view=True,
            )
        # Outermost, so that it cuts its graph where gradients are averaged.
        return torch.compile(module) if compiled else module  # type: ignore[return-value]

    def share_buffers(self, module: nn.Module) -> None:
        """Give all processes the main one's buffers: the statistics of batch norm.

        Each process gathers those of its own images. The main one's are stored, so all must
        measure with them.
        """
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

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

    def gather_rows(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Gather rows that are spread over the processes into their places, which start at 0.

        They travel in blocks, so that no process holds much more than the result and its own rows.

        Args:
            parts: places [n] and rows [n, ...] of this process, which may have none.

        Returns:
            all rows in the order of their places, the same on every process.
        """
        places, rows = (np.concatenate(own) for own in zip(*parts, strict=True)) if parts else _NONE
        if self.size == 1:
            return rows[np.argsort(places)]
        forms = self.gather((len(rows), rows.shape[1:], rows.dtype.str))
        _, shape, kind = next(form for form in forms if form[0])
        gathered = np.empty((sum(length for length, *_ in forms), *shape), kind)
        block = max(1, BLOCK_BYTES * len(gathered) // gathered.nbytes)
        for source, (length, *_) in enumerate(forms):
            for start in range(0, length, block):
                size = min(block, length - start)
                at, values = np.empty(size, np.int64), np.empty((size, *shape), kind)
                if source == self.rank:
                    at[:], values[:] = places[start : start + size], rows[start : start + size]
                gathered[self._sent(at, source)] = self._sent(values, source)
        return gathered

    def _sent(self, values: np.ndarray, source: int) -> np.ndarray:
        """Return the array that process `source` has; all have one of this shape."""
        tensor = torch.from_numpy(values).to(self.device)
        dist.broadcast(tensor, source)
        sent: np.ndarray = tensor.cpu().numpy()
        return sent

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.size > 1:
            dist.barrier()


def set_numerics(on_cuda: bool, deterministic: bool) -> None:
    """Choose kernels: exact float32 everywhere, and on a GPU the fast ones or repeatable ones.

    A CPU always gets repeatable kernels; they cost nothing there. On a GPU the fused kernels of
    attention add gradients in an order that changes from run to run.

    Args:
        deterministic: on a GPU, the same bits in each run, at a price: attention as plain matrix
            products, and slow kernels for interpolation.
    """
    repeatable = deterministic or not on_cuda
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(repeatable, warn_only=True)
    # Only uninitialized memory would be filled, and nothing reads any.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not repeatable
    # fp32 in a recipe is float32: TF32 has 10 bits of mantissa.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if on_cuda:
        torch.backends.cuda.enable_flash_sdp(not deterministic)
        torch.backends.cuda.enable_mem_efficient_sdp(not deterministic)
        torch.backends.cuda.enable_cudnn_sdp(not deterministic)


@contextmanager
def open_world(threads: int, seconds: float = math.inf) -> Iterator[World]:
    """Set this process up: threads, kernels, device, memory, process group.

    Args:
        threads: CPU threads of this process. A fixed number belongs to a repeatable result.
        seconds: time from now in which a training may make updates.

    Yields:
        the world; its process group is closed at the end.
    """
    deadline = time.monotonic() + seconds
    torch.set_num_threads(threads)
    set_numerics(torch.cuda.is_available(), deterministic=False)
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
