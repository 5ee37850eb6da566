"""The frequency filter and the masked-frequency loss, against the published formula written out."""

import argparse
import subprocess
import sys
from collections.abc import Callable

import torch
from torch import Tensor
from torch.fft import fft2, fftshift, ifft2, ifftshift

from folk.filters.apply import apply_filter
from folk.filters.radial import RadialFilter
from folk.filters.rng import BatchRng
from folk.methods.losses import masked_frequency_loss
from folk.training.meter import PeakMemory
from tests.bench.measure import Row, in_turns, seconds

WHAT = "filter and loss, forward and back"
AGAINST = "full complex FFTs with shifts, one of each image"
ROUNDS = 9


def rows() -> list[Row]:
    """Time on all cores and on one, and peak memory; 64 images of 224 px."""
    cores, found = torch.get_num_threads(), []
    ours, direct = _both(64, 224)
    torch.testing.assert_close(ours(), direct())
    for threads in dict.fromkeys((cores, 1)):
        torch.set_num_threads(threads)
        mine, other = in_turns(seconds(ours), seconds(direct), ROUNDS)
        found.append(Row(WHAT, AGAINST, "s", mine, other, reach=0.25, note=f"threads: {threads}"))
    torch.set_num_threads(cores)
    mine, other = ([_peak_of_a_child(name) for _ in range(3)] for name in ("ours", "direct"))
    return [*found, Row(f"{WHAT}: memory", AGAINST, "MiB", mine, other, reach=0.5)]


def _both(count: int, size: int) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Filter and loss of the same images, ours and the direct form."""
    generator = torch.Generator().manual_seed(0)
    images, target, guess = torch.rand(3, count, 3, size, size, generator=generator).unbind()
    prediction = guess.clone().requires_grad_()
    keep = RadialFilter(16.0)(images, BatchRng(0, count))
    # The published masks cover the whole plane, with the mean color in the middle.
    columns = -torch.arange(size // 2 + 1, size) % size
    mirrored = keep[..., -torch.arange(size) % size, :][..., columns]
    whole = fftshift(torch.cat([keep, mirrored], dim=-1), dim=(-2, -1))

    def ours() -> Tensor:
        prediction.grad = None
        apply_filter(images, keep)
        loss = masked_frequency_loss(prediction, target, keep)
        loss.backward()
        return loss

    def direct() -> Tensor:
        prediction.grad = None
        spectrum = fftshift(fft2(images), dim=(-2, -1)) * whole
        ifft2(ifftshift(spectrum, dim=(-2, -1))).real.clamp(0.0, 1.0)
        stacked = [
            torch.stack([spectrum.real, spectrum.imag], dim=-1)
            for spectrum in (fft2(x, norm="ortho") for x in (prediction, target))
        ]
        squared = (stacked[0] - stacked[1]) ** 2
        distance = fftshift(torch.sqrt(squared[..., 0] + squared[..., 1] + 1e-12), dim=(-2, -1))
        hidden = (~whole).float()
        loss = (distance * hidden).sum() / hidden.sum() / 3
        loss.backward()
        return loss

    return ours, direct


def _peak_of_a_child(which: str) -> float:
    """MiB by which a new process grows at its highest, its inputs and libraries not counted."""
    command = [sys.executable, "-m", "tests.bench.spectrum", which]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _print_peak() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=("ours", "direct"))
    which = ("ours", "direct").index(parser.parse_args().which)
    _both(2, 32)[which]()  # what is loaded at first
    work = _both(64, 224)[which]
    memory = PeakMemory(torch.device("cpu"))
    work()
    print(memory.bytes() / 2**20)


if __name__ == "__main__":
    _print_peak()
