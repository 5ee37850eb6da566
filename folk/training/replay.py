"""Log of a training's states, and the replay of parts of it for an audit.

A state is the parts of the checkpoint: weights and buffers of the model, moments and rates of the
optimizer. Nothing else is carried from update to update, so a training goes on from a kept state as
from a checkpoint. A state's bytes are those of a safetensors file with sorted names, and its digest
is the sha256 of that file.
"""

import json
import platform
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor
from torch.optim import Optimizer

from folk.evidence.core.canonical import canonical_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write, write_json
from folk.evidence.core.replay_log import (
    ANSWER,
    LOG,
    REQUEST,
    STATES,
    Cadence,
    link,
    missing_steps,
    state_name,
)
from folk.training.distributed import World
from folk.training.history import History

if TYPE_CHECKING:
    from folk.training.loop import Resumable

Batch = TypeVar("Batch")
_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class ReplayLog:
    """Growing replay.jsonl and its kept states, which a resumed training cuts to its checkpoint."""

    def __init__(
        self,
        work: Path,
        cadence: Cadence,
        updates: int,
        start: int,
        world: World,
        parts: Mapping[str, "Resumable"],
    ) -> None:
        """Go on with the log in `work` after `start` updates, or begin one.

        Raises:
            InputError: the log in `work` lacks what a training with this cadence has written.
        """
        self._states, self._parts, self._on = work / STATES, parts, machine(world)
        self._steps, self._kept = set(cadence.steps(updates)), set(cadence.kept(updates))
        self._history = History(work / LOG, start)
        self._began, self._seconds = time.monotonic(), 0.0
        lacking = [s for s in missing_steps(self._history.lines, cadence, updates) if s <= start]
        lacking += [s for s in self._kept if s <= start and not self._file(s).is_file()]
        if start and lacking:
            raise InputError(
                f"{self._history.path}: no state of update {lacking[0]}; runtime.replay cannot "
                "change within a training: set it back, or delete the checkpoint to start anew"
            )
        self._states.mkdir(exist_ok=True)
        for path in self._states.iterdir():
            if path not in {self._file(step) for step in self._kept if step <= start}:
                path.unlink()
        if not start or self._history.lines[-1]["on"] != self._on:
            self._add(start)  # the machine of the updates from here on

    def after(self, done: int) -> float:
        """Write the line after `done` updates, if there is one; return the seconds it took."""
        if done not in self._steps:
            return 0.0
        began = time.monotonic()
        self._add(done)
        self._seconds += (took := time.monotonic() - began)
        return took

    def flush(self) -> None:
        """Flush everything written so far to disk; called before each checkpoint."""
        self._history.flush()

    def close(self) -> None:
        """Flush and close, and print what the log cost."""
        self._history.close()
        share = self._seconds / (time.monotonic() - self._began)
        print(f"replay log: {self._seconds:.1f} s, {share:.2%} of this start", file=sys.stderr)

    def _add(self, step: int) -> None:
        state, digest = state_of(self._parts), sha256()
        if step in self._kept:
            with atomic_write(self._file(step)) as temp, temp.open("wb") as file:
                for piece in state_bytes(state):
                    digest.update(piece)
                    file.write(piece)
        else:
            for piece in state_bytes(state):
                digest.update(piece)
        lines = self._history.lines
        before = link(json.dumps(lines[-1])) if lines else ""
        line = {"step": step, "state": digest.hexdigest(), "on": self._on, "before": before}
        self._history.append(line)

    def _file(self, step: int) -> Path:
        return self._states / state_name(step)


def machine(world: World) -> dict[str, Any]:
    """Describe what decides the last bits of sums, and if they are the same in each run."""
    on_cuda = world.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(world.device) if on_cuda else "cpu",
        "cpu": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": str(torch.__version__),
        "processes": world.size,
        "threads": torch.get_num_threads(),
        "repeatable": not on_cuda or torch.are_deterministic_algorithms_enabled(),
    }


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def state_of(parts: Mapping[str, "Resumable"]) -> dict[str, Any]:
    """Collect the state of all parts, by name."""
    return {name: part.state_dict() for name, part in parts.items()}


def state_bytes(state: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
    """Yield the canonical bytes of a state, a valid safetensors file, tensor by tensor."""
    tensors: dict[str, Tensor] = {}
    outline = canonical_json(_outline(state, "", tensors)).decode()
    header: dict[str, Any] = {"__metadata__": {"outline": outline}}
    end = 0
    for name, tensor in sorted(tensors.items()):
        start, end = end, end + tensor.numel() * tensor.element_size()
        shape = list(tensor.shape)
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": shape, "data_offsets": [start, end]}
    text = canonical_json(header)
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text))
    yield text
    for _, tensor in sorted(tensors.items()):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().data


def _outline(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by their names and dictionaries by pairs, whose keys may be numbers."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        pairs = sorted(value.items(), key=lambda pair: str(pair[0]))
        return {
            "pairs": [[k, _outline(v, f"{name}.{k}" if name else k, tensors)] for k, v in pairs]
        }
    if isinstance(value, list | tuple):
        return [_outline(each, f"{name}.{place}", tensors) for place, each in enumerate(value)]
    return value


def load_state(path: Path) -> dict[str, Any]:
    """Read a kept state.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            outline = json.loads(file.metadata()["outline"])
            state: dict[str, Any] = _filled(outline, file.get_tensor)
            return state
    except Exception as error:
        raise InputError(f"{path}: no state of a training ({type(error).__name__})") from error


def _filled(outline: Any, tensor_of: Callable[[str], Tensor]) -> Any:
    if isinstance(outline, list):
        return [_filled(each, tensor_of) for each in outline]
    if isinstance(outline, dict) and "tensor" in outline:
        return tensor_of(outline["tensor"])
    if isinstance(outline, dict):
        return {key: _filled(each, tensor_of) for key, each in outline["pairs"]}
    return outline


def restore(parts: Mapping[str, "Resumable"], state: Mapping[str, Any]) -> None:
    """Give all parts a kept state, but for the optimizer's settings, which are the recipe's.

    A state with other settings, of another recipe, has another digest when it is restored.
    """
    for name, part in parts.items():
        if not isinstance(part, Optimizer):
            part.load_state_dict(state[name])
            continue
        settings = [
            {key: value for key, value in group.items() if key not in ("params", "lr")}
            for group in part.param_groups
        ]
        part.load_state_dict(state[name])
        for group, own in zip(part.param_groups, settings, strict=True):
            group.update(own)
        # Fused kernels want moments in the order in memory of their weights, which is channels
        # last on a GPU.
        for weight, moments in part.state.items():
            for key, value in moments.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    moments[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def answer_request(
    work: Path,
    updates: int,
    world: World,
    parts: Mapping[str, "Resumable"],
    batches: Callable[[int], Iterator[Batch]],
    update: Callable[[int, Batch], dict[str, Tensor]],
) -> None:
    """Replay what an audit asks for by a file in the work folder, and end; else do nothing.

    The request has `states`, the folder of kept states; `segments`, pairs of updates made at their
    start and end; `steps`, where digests are wanted. The answer has the machine in `on`, the
    `updates` of the whole training, the digest of its `initial` state, and for each segment the
    digest by step in `states`, the digest of its start in `start`, and `distance`, that of the
    model from the kept state at its end, relative to how far the model moved.

    Raises:
        SystemExit: the answer is written.
        InputError: a kept state is missing or damaged.
    """
    path = work / REQUEST
    if not path.is_file():
        return
    request = json.loads(path.read_text(encoding="utf-8"))
    folder, wanted = Path(request["states"]), set(request["steps"])
    initial, answers = _digest(parts), []
    for start, end in sorted(request["segments"]):  # the first has the initial state
        if start:
            restore(parts, load_state(folder / state_name(start)))
        before, first = _weights(state_of(parts)), _digest(parts)
        states = {}
        # The range comes first, so that no unused batch is loaded.
        for step, batch in zip(range(start, end), batches(start), strict=False):
            update(step, batch)
            if step + 1 in wanted:
                states[str(step + 1)] = _digest(parts)
        kept = _weights(load_state(folder / state_name(end)))
        moved = _distance(kept, before)
        distance = _distance(_weights(state_of(parts)), kept) / max(moved, 1e-30)
        answers.append({"segment": [start, end], "start": first, "states": states,
                        "distance": distance})  # fmt: skip
    if world.is_main:
        answer = {"on": machine(world), "updates": updates, "initial": initial}
        write_json(work / ANSWER, answer | {"segments": answers})
    raise SystemExit(0)


def _digest(parts: Mapping[str, "Resumable"]) -> str:
    digest = sha256()
    for piece in state_bytes(state_of(parts)):
        digest.update(piece)
    return digest.hexdigest()


def _weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Copy the floating numbers of the model to the CPU."""
    model: Mapping[str, Tensor] = state["model"]
    return {
        name: value.detach().to("cpu", copy=True)
        for name, value in model.items()
        if value.is_floating_point()
    }


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    differences = (one[name].double() - other[name].double() for name in one)
    squares = (float(difference.square().sum()) for difference in differences)
    return float(sum(squares) ** 0.5)
