"""Parts d and e: speed of updates and of k-NN."""

import time
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from folk.data.pixels import from_array
from folk.data.transforms import batch_views, view_transforms
from folk.training.distributed import set_numerics
from folk.training.meter import PeakMemory, count_flops, seconds_of
from tests.gpu.check import Check
from tests.gpu.updates import TINY, Updates

BATCH = 128  # images on each GPU in MFM's configs
COUNTED = 8  # images of the update whose FLOPs are counted; they grow with the batch
COMPILING = 100.0  # seconds that a compilation may take
# In the order of what a reader wants to know first.
ROWS = (
    ("folk-vit-base", False),
    ("mfm-vit-base", False),
    ("folk-vit-small", False),
    ("mfm-vit-small", False),
    ("folk-vit-base", True),
    ("mfm-vit-base", True),
    ("folk-vit-small", True),
    ("mfm-vit-small", True),
)


def run(check: Check) -> dict[str, Any]:
    """Images per second, memory and share of the measured bf16 peak, and a profile.

    Images lie in pinned memory and are copied in each update: reading and augmenting is not here.
    """
    set_numerics(check.device.type == "cuda", deterministic=False)
    peak = _peak(check)
    found: dict[str, Any] = {"bf16 matrix product, TFLOP/s": round(peak / 1e12, 1)}
    flops = {name: _flops(check, name) for name, compiled in ROWS if not compiled}
    for name, compiled in ROWS:
        label = f"{name}, {'compiled' if compiled else 'eager'}"
        if compiled and (check.tiny or check.seconds_left() < COMPILING):
            found[label] = "not run: too little time left to compile"
            continue
        batch = 4 if check.tiny else BATCH
        updates = _updates(check, name, batch, compiled)
        memory = PeakMemory(check.device)
        start = time.monotonic()
        updates()
        first = time.monotonic() - start
        seconds = _seconds(check, updates)
        found[label] = {
            "images/s": round(batch / seconds, 1),
            "share of the peak": round(flops[name] * batch / seconds / peak, 3),
            "GFLOP an image": round(flops[name] / 1e9, 1),
            "memory, GiB": round(memory.bytes() / 2**30, 2),
            "first update, s": round(first, 1),
        }
        if compiled:
            # jaxtyping's checks in pytest cannot be compiled, so this is counted here.
            found[label]["graphs"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        if name == "folk-vit-base":
            found[f"profile of {label}"] = _profile(check, updates)
        del updates
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        if check.device.type == "cuda":
            torch.cuda.empty_cache()
    found |= _colors(check)
    for kind in ("base", "small"):
        for how in ("eager", "compiled"):
            pair = [found[f"{method}-vit-{kind}, {how}"] for method in ("mfm", "folk")]
            if all(isinstance(each, dict) for each in pair):
                ratio = pair[0]["images/s"] / pair[1]["images/s"]
                found[f"FOLK / MFM, ViT-{kind[0].upper()}, {how}"] = round(ratio, 2)
    return found


def _colors(check: Check) -> dict[str, float]:
    """Milliseconds of `views.colors: device` for the two DINO views of a batch."""
    side, batch = (32, 4) if check.tiny else (224, BATCH)
    views = view_transforms(
        "dino", size=side, min_scale=0.14, jitter=1.0, num_views=2, colors="device"
    )
    image = from_array(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
    drawn = [views(image, np.random.default_rng(number)) for number in range(batch)]
    assert all(isinstance(each, tuple) for each in drawn)
    images = [torch.stack([torch.as_tensor(made[view]) for made, _ in drawn]) for view in (0, 1)]
    shown = {"image": [each.to(check.device) for each in images],
             "colors": torch.stack([changes for _, changes in drawn])}  # fmt: skip

    def change() -> object:
        return batch_views(shown, check.device, and_spatial=False)

    change()
    took = [seconds_of(change, check.device) for _ in range(5)]
    return {f"colors of 2 x {batch} views on the device, ms": round(min(took) * 1e3, 2)}


def run_knn(check: Check) -> dict[str, Any]:
    """50,000 queries against 1.28 million features of 384."""
    from folk.stages.neighbors import nearest

    queries, bank, width = (64, 512, 16) if check.tiny else (50_000, 1_281_167, 384)
    draw = np.random.default_rng(0)
    known = draw.standard_normal((bank, width), dtype=np.float32)
    asked = draw.standard_normal((queries, width), dtype=np.float32)
    start = time.monotonic()
    nearest(asked, known, 20, check.device)
    return {"queries": queries, "bank": bank, "seconds": round(time.monotonic() - start, 2)}


def _updates(check: Check, name: str, batch: int, compiled: bool) -> Updates:
    precision = "fp32" if check.device.type == "cpu" else "bf16"
    more = TINY if check.tiny else {}
    values = {"optim.precision": precision, "runtime.compile": compiled, **more}
    return Updates(name, batch, check.device, values)


def _flops(check: Check, name: str) -> float:
    batch = 2 if check.tiny else COUNTED
    return count_flops(_updates(check, name, batch, compiled=False)) / batch


def _seconds(check: Check, updates: Updates) -> float:
    times = 1 if check.tiny else 10
    for _ in range(1 if check.tiny else 3):
        updates()
    rounds = [
        seconds_of(lambda: [updates() for _ in range(times)], check.device) / times
        for _ in range(1 if check.tiny else 3)
    ]
    return sorted(rounds)[len(rounds) // 2]


def _peak(check: Check) -> float:
    side = 256 if check.tiny else 8192
    kind = torch.float32 if check.device.type == "cpu" else torch.bfloat16
    left, right = torch.randn(2, side, side, device=check.device).to(kind)
    _ = left @ right
    took = [
        seconds_of(lambda: [left @ right for _ in range(20)], check.device) / 20 for _ in range(5)
    ]
    return float(2 * side**3 / min(took))


def _profile(check: Check, updates: Updates) -> dict[str, Any]:
    """The kernels that take most of three updates, and the time without any."""
    if check.device.type != "cuda":
        return {}
    wall = seconds_of(lambda: [updates() for _ in range(3)], check.device)
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        seconds_of(lambda: [updates() for _ in range(3)], check.device)
    events = [e for e in profiler.key_averages() if e.self_device_time_total > 0]
    kernels = [e for e in events if e.device_type == torch.autograd.DeviceType.CUDA] or events
    total = sum(e.self_device_time_total for e in kernels)
    kernels.sort(key=lambda e: -e.self_device_time_total)
    copies = [e for e in profiler.key_averages() if e.key in _WAITS]
    return {
        "busy": round(total / 1e6 / wall, 3),
        "waits": {e.key: e.count for e in copies},
        "kernels": {e.key[:90]: round(e.self_device_time_total / total, 3) for e in kernels[:14]},
    }


_WAITS = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "aten::_local_scalar_dense",
    "aten::item",
)
