"""Steps of FOLK and MFM on a GPU, and how near they come to what it can do."""

import functools
from collections.abc import Callable

import torch

from folk.training.distributed import World
from folk.training.meter import PeakMemory, count_flops, seconds_of
from tests.bench.measure import Row, Skipped, in_turns
from tests.bench.step import pretraining_step

BATCH = 128  # images on each GPU in MFM's configs
WARM, ROUNDS, STEPS = 3, 7, 10
BF16 = {"optim.precision": "bf16", "runtime.compile": True}
FP32 = {"optim.precision": "fp32", "runtime.compile": False}


def rows() -> list[Row | Skipped]:
    """ViT-S/16 and ViT-B/16 at 224 px, 128 images: compiled bf16 against fp32 as it stands."""
    if not torch.cuda.is_available():
        return [
            Skipped("steps on a GPU", "there is no GPU; run `make bench ROWS=gpu` where one is")
        ]
    device = torch.device("cuda", 0)
    peak, copied = _matrix_flops(device), _copied_bytes(device)
    name = torch.cuda.get_device_name(device)
    found: list[Row | Skipped] = [
        Row(f"{name}: bf16 matrix products", "", "TFLOP/s", [peak / 1e12]),
        Row(f"{name}: copies on the device", "", "GB/s", [copied / 1e9]),
    ]
    for size in ("small", "base"):
        found += _of_encoder(size, device, peak)
    return found


def _of_encoder(size: str, device: torch.device, peak: float) -> list[Row]:
    world = World(0, 1, device)
    step = functools.partial(pretraining_step, batch=BATCH, world=world)
    what = f"FOLK, ViT-{size[0].upper()}/16"
    flops = count_flops(step(f"folk-vit-{size}", values={**BF16, "runtime.compile": False}))
    memory = PeakMemory(device)
    folk = step(f"folk-vit-{size}", values=BF16)
    rate = _rate(folk, device)
    peak_mib = memory.bytes() / 2**20
    plain = _rate(step(f"folk-vit-{size}", values=FP32), device)
    mfm = _rate(step(f"mfm-vit-{size}", values=BF16), device)
    quick, slow = in_turns(rate, plain, ROUNDS)
    again, single = in_turns(rate, mfm, ROUNDS)
    shares = [speed / BATCH * flops / peak for speed in quick]
    return [
        Row(what, "the same step uncompiled in fp32", "img/s", quick, slow),
        Row(
            f"{what}: share of the bf16 peak",
            "",
            "share",
            shares,
            reach=0.45 if size == "base" else None,
            at_least=True,
        ),
        Row(f"{what}: peak memory", "", "MiB", [peak_mib]),
        Row(
            f"{what}: time of a step",
            "an MFM step",
            "s",
            [BATCH / speed for speed in again],
            [BATCH / speed for speed in single],
            reach=2.8,
        ),
    ]


def _rate(step: Callable[[], object], device: torch.device) -> Callable[[], float]:
    """Images of a second over some steps, the first ones left out."""
    for _ in range(WARM):
        step()

    def measured() -> float:
        return STEPS * BATCH / seconds_of(lambda: [step() for _ in range(STEPS)], device)

    return measured


def _matrix_flops(device: torch.device, side: int = 8192, times: int = 20) -> float:
    """The most bf16 operations of a second, over several products of square matrices."""
    left, right = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
    _ = left @ right
    took = [
        seconds_of(lambda: [left @ right for _ in range(times)], device) / times for _ in range(5)
    ]
    return float(2 * side**3 / min(took))


def _copied_bytes(device: torch.device, size: int = 2**30, times: int = 20) -> float:
    """Bytes read and written of a second."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    took = [
        seconds_of(lambda: [target.copy_(source) for _ in range(times)], device) / times
        for _ in range(5)
    ]
    return float(2 * size / min(took))
