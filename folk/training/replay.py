"""Log of a training's states, and the replay of a part of it for an audit.

A state is that of the checkpoint: weights and buffers of the model, moments and settings of the
optimizer. Nothing else is carried from update to update, so a training goes on from a kept state as
from a checkpoint. A state is stored as a safetensors file, and its digest is that file's sha256.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor

from folk.evidence.core.canonical import canonical_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write, write_json
from folk.evidence.core.replay_log import ANSWER, LOG, REQUEST, STATES, Cadence, link, state_name
from folk.evidence.record.environment import processor
from folk.training.distributed import World
from folk.training.history import History

if TYPE_CHECKING:
    from folk.training.loop import Plan

Batch = TypeVar("Batch")
Parts = Mapping[str, Any]  # `model` and `optimizer`
Settings = list[dict[str, Any]]  # groups of an optimizer


class ReplayLog:
    """Growing replay.jsonl and its kept states, which a resumed training cuts to its checkpoint."""

    def __init__(
        self, work: Path, cadence: Cadence, updates: int, start: int, world: World, parts: Parts
    ) -> None:
        """Go on with the log in `work` after `start` updates, or begin one.

        Raises:
            InputError: the log in `work` lacks what a training with this cadence has written.
        """
        self._folder, self._parts, self._on = work / STATES, parts, machine(world)
        self._steps, self._kept = set(cadence.steps(updates)), set(cadence.kept(updates))
        self._history = History(work / LOG, start)
        self._began, self._seconds = time.monotonic(), 0.0
        lines = self._history.lines
        due = {step for step in self._steps if step <= start} if start else set()
        kept = {self._folder / state_name(step) for step in due & self._kept}
        self._folder.mkdir(exist_ok=True)
        found = set(self._folder.iterdir())
        if due - {line["step"] for line in lines} or kept - found:
            raise InputError(
                f"{work / LOG}: lacks states up to update {start}; runtime.replay cannot change "
                "within a training: set it back, or delete the checkpoint to start anew"
            )
        for path in found - kept:
            path.unlink()
        if not lines or lines[-1]["on"] != self._on:
            self._add(start)  # the machine of the updates from here on

    def after(self, done: int) -> None:
        """Write the line after `done` updates, if there is one."""
        if done in self._steps:
            began = time.monotonic()
            self._add(done)
            self._seconds += time.monotonic() - began

    def flush(self) -> None:
        """Flush everything written so far to disk; called before each checkpoint."""
        self._history.flush()

    def close(self) -> None:
        """Flush and close, and print what the log cost."""
        self._history.close()
        share = self._seconds / (time.monotonic() - self._began)
        print(f"replay log: {self._seconds:.1f} s, {share:.2%} of this start", file=sys.stderr)

    def _add(self, step: int) -> None:
        data, lines = state_bytes(self._parts), self._history.lines
        if step in self._kept:
            with atomic_write(self._folder / state_name(step)) as temp:
                temp.write_bytes(data)
        before = link(json.dumps(lines[-1])) if lines else ""
        line = {"step": step, "state": sha256(data).hexdigest(), "on": self._on, "before": before}
        self._history.append(line)


def machine(world: World) -> dict[str, Any]:
    """Describe what decides the last bits of sums, and if they are the same in each run."""
    on_cuda = world.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(world.device) if on_cuda else "cpu",
        "cpu": processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": str(torch.__version__),
        "processes": world.size,
        "threads": torch.get_num_threads(),
        "repeatable": not on_cuda or torch.are_deterministic_algorithms_enabled(),
    }


def state_bytes(parts: Parts) -> bytes:
    """Return the bytes of a state, which depend on nothing but its numbers."""
    optimizer = parts["optimizer"].state_dict()
    tensors = {f"model.{name}": value for name, value in parts["model"].state_dict().items()}
    for place, moments in optimizer["state"].items():
        tensors |= {f"optimizer.{place}.{name}": value for name, value in moments.items()}
    arrays = {name: value.detach().cpu().contiguous().numpy() for name, value in tensors.items()}
    # timm's LAMB counts its updates in a tensor.
    groups = [
        {key: value.item() if isinstance(value, Tensor) else value for key, value in group.items()}
        for group in optimizer["param_groups"]
    ]
    return save(arrays, {"groups": canonical_json(groups).decode()})


def load_state(path: Path, parts: Parts, settings: Settings) -> None:
    """Give the parts a kept state, but for the optimizer's settings, which are the recipe's.

    A state with other settings, of another recipe, has another digest when it is loaded.

    Args:
        settings: groups of the optimizer before its first update.

    Raises:
        InputError: the file is missing, damaged, or of another network.
    """
    model, optimizer = parts["model"], parts["optimizer"]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            groups = json.loads(file.metadata()["groups"])
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            if part == "optimizer":
                place, _, key = rest.partition(".")
                if value.dim() == 4:  # in memory like its weight, which is channels last on a GPU
                    value = torch.empty_like(weights[int(place)]).copy_(value)
                state.setdefault(int(place), {})[key] = value
        for group, own in zip(groups, settings, strict=True):
            group |= {key: value for key, value in own.items() if key != "lr"}
        model.load_state_dict(
            {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
        )
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except Exception as error:
        raise InputError(f"{path}: no state of this training ({type(error).__name__})") from error


def answer_request(
    plan: "Plan",
    world: World,
    parts: Parts,
    batches: Callable[[int], Iterator[Batch]],
    update: Callable[[int, Batch], dict[str, Tensor]],
) -> None:
    """Replay what an audit asks for by a file in the work folder, and end; else do nothing.

    The request has `states`, the folder of kept states; `stretch`, the updates made at its start
    and end; `steps`, where digests are wanted. The answer has the machine in `on`, the `updates` of
    the whole training, the digest of its `initial` state, the digests in `states`, by step, and
    `distance`, that of the weights from the kept state at the end, relative to how far they moved.

    Raises:
        SystemExit: the answer is written.
        InputError: a kept state is missing or damaged.
    """
    path = plan.work / REQUEST
    if not path.is_file():
        return
    request = json.loads(path.read_text(encoding="utf-8"))
    folder, (start, end) = Path(request["states"]), request["stretch"]
    settings, initial = parts["optimizer"].state_dict()["param_groups"], _digest(parts)
    if start:
        load_state(folder / state_name(start), parts, settings)
    before, states = _weights(parts), {start: _digest(parts)}
    # The range comes first, so that no unused batch is loaded.
    for step, batch in zip(range(start, end), batches(start), strict=False):
        update(step, batch)
        if step + 1 in request["steps"]:
            states[step + 1] = _digest(parts)
    after = _weights(parts)
    load_state(folder / state_name(end), parts, settings)
    distance = _norm(after - _weights(parts)) / max(_norm(after - before), 1e-30)
    if world.is_main:
        answer = {"on": machine(world), "updates": plan.updates, "initial": initial}
        write_json(plan.work / ANSWER, answer | {"states": states, "distance": distance})
    raise SystemExit(0)


def _digest(parts: Parts) -> str:
    return sha256(state_bytes(parts)).hexdigest()


def _weights(parts: Parts) -> Tensor:
    """Copy the floating numbers of the model to one vector on the CPU."""
    values = parts["model"].state_dict().values()
    return torch.cat([v.flatten().float().cpu() for v in values if v.is_floating_point()])


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))
