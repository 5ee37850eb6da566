"""A training's log of states: its share of CPU time, and how far a replay elsewhere moves away."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from folk.evidence.audit.replay import TOLERANCE
from folk.evidence.core.files import write_json
from folk.evidence.core.replay_log import ANSWER, REQUEST, STATES, Cadence
from folk.training.distributed import open_world
from folk.training.replay import ReplayLog
from tests.bench.measure import Row, in_a_process, in_turns
from tests.gpu.updates import Updates

ROOT = Path(__file__).parents[2]
EVERY, ROUNDS = 50, 5
STAGES = {"pretrain": "demo-folk", "finetune": "demo-full"}
EPOCHS, SEGMENTS = 10, ((450, 500), (250, 500), (0, 500))  # 50 updates of 64 images an epoch
ELSEWHERE: dict[str, tuple[int, dict[str, str]]] = {
    "two threads instead of one": (2, {}),
    "no vector instructions": (1, {"ATEN_CPU_CAPABILITY": "default"}),
}


def rows() -> list[Row]:
    """The demo's trainings, on one thread."""
    return [*in_a_process(_costs), *_distances()]


def _costs() -> list[Row]:
    """CPU time of 50 updates with a digest and a kept state, and without."""
    shares = []
    with open_world(1) as world, tempfile.TemporaryDirectory(prefix="folk-bench-") as folder:
        updates, done = Updates("demo-folk", 64, world.device), 0
        parts = {"model": updates.parts.method, "optimizer": updates.parts.optimizer}
        cadence = Cadence(every=EVERY, keep=100)
        log = ReplayLog(Path(folder), cadence, 100 * EVERY, 0, world, parts)

        def block(logged: bool) -> float:
            nonlocal done
            start = time.process_time()
            for _ in range(EVERY):
                updates()
            done, middle = done + EVERY, time.process_time()
            if logged:
                log.after(done)
                shares.append((time.process_time() - middle) / (middle - start))
            return time.process_time() - start

        logged, bare = in_turns(lambda: block(True), lambda: block(False), ROUNDS)
    name = f"CPU time of {EVERY} updates with a digest and a kept state"
    return [
        Row(name, "without", "s", logged, bare),
        Row("the log's share of these updates", "", "share", shares, reach=0.01),
    ]


def _distances() -> list[Row]:
    """Distance of the weights after replays elsewhere, relative to how far they moved."""
    found = []
    with tempfile.TemporaryDirectory(prefix="folk-bench-") as name:
        folder = Path(name)
        _folk(folder, "prepare", "demo", "data", "--set", f"scenes.num_train={64 * EVERY}",
              "--set", "scenes.num_unlabeled=0")  # fmt: skip
        for stage, recipe in STAGES.items():
            given = _given(stage, folder)
            _folk(folder, stage, recipe, stage, *given)
            again, states = f"{stage}-again", str(folder / stage / STATES)
            for what, (threads, variables) in ELSEWHERE.items():
                for start, end in SEGMENTS:
                    work = folder / f"{again}.work"
                    request = {"states": states, "stretch": (start, end), "steps": [end]}
                    write_json(work / REQUEST, request)
                    told = [*given, "--threads", str(threads)]
                    _folk(folder, stage, recipe, again, *told, **variables)
                    distance = json.loads((work / ANSWER).read_text())["distance"]
                    label = f"{stage}, updates {start + 1} to {end}, {what}: distance"
                    found.append(Row(label, "", "share", [distance], reach=TOLERANCE))
    return found


def _given(stage: str, folder: Path) -> list[str]:
    settings = [f"optim.epochs={EPOCHS}", f"runtime.replay.every={EVERY}", "runtime.replay.keep=10"]
    given = ["--dataset", str(folder / "data/dataset.json"), "--seed", "0"]
    if stage == "finetune":
        given += ["--encoder", str(folder / "pretrain/encoder.safetensors"), "--evaluation", "full"]
        settings.append("evaluate_every=10")
    else:
        settings.append("runtime.knn_every=0")
    return [*given, *(word for setting in settings for word in ("--set", setting))]


def _folk(folder: Path, stage: str, recipe: str, out: str, *more: str, **variables: str) -> None:
    """Run a stage in a process of its own, its results in `folder/out`."""
    path = ROOT / f"config/recipes/{stage}/{recipe}.yaml"
    place = ["--out", str(folder / out), "--work", str(folder / f"{out}.work"), "--name", out]
    command = [sys.executable, "-m", "folk", stage, "--recipe", str(path), "--code", "c", *place]
    print(f"  {stage} to {out} {variables}", file=sys.stderr)
    done = subprocess.run([*command, *more], env=os.environ | variables, cwd=ROOT, text=True,
                          capture_output=True, check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
