"""Replay of parts of a training from its kept states, and check of its log.

A training is cut into segments where its states are kept. A segment that was not trained as its
record says is caught when it is drawn, so one such segment among S is caught by n draws with
probability n / S.
"""

import json
import random
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from folk.evidence.audit.again import rerun
from folk.evidence.audit.chain import Job
from folk.evidence.audit.checks.files import FilesRead
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_keys
from folk.evidence.core.replay_log import (
    ANSWER,
    LOG,
    REQUEST,
    STATES,
    Cadence,
    Line,
    Segment,
    missing_steps,
    read_log,
    state_name,
)

# Of the distance that the weights moved in a segment, where sums have other last bits, which
# training amplifies. An unrelated state is at 1 and more; one that skipped the share s of the
# updates is at about s / (1 - s).
TOLERANCE = 0.5


@dataclass(frozen=True)
class Draw:
    """What is replayed: trainings (run or run/evaluation), and how many segments of each."""

    trainings: tuple[str, ...]
    segments: int
    seed: int

    def of(self, segments: Sequence[Segment]) -> list[Segment]:
        """Draw distinct segments, in their order."""
        # A string gives the same seed in every version and process.
        drawn = random.Random(f"replay {self.seed}").sample(
            range(len(segments)), min(self.segments, len(segments))
        )
        return [segments[place] for place in sorted(drawn)]


def trainings_of(subject: Subject, draw: Draw) -> list[Job]:
    """Find the jobs to replay.

    Raises:
        InputError: unknown name, no sound record, or a training without a log.
    """
    names = {"/".join(f.relative_to(subject.results).parts[1:]): f for f in subject.plan.jobs}
    jobs = []
    for name in draw.trainings:
        if name not in names:
            raise InputError(f"--replay {name}: unknown run or evaluation{nearest(name, names)}")
        path = names[name] / "record.json"
        if path not in subject.finished:
            raise InputError(f"--replay {name}: no sound {path}; run the study first")
        if _cadence(subject.finished[path]) is None:
            raise InputError(f"--replay {name}: it kept no log; set runtime.replay in its recipe "
                             "before it is trained")  # fmt: skip
        jobs.append(subject.finished[path])
    return jobs


def check_logs(subject: Subject, files: FilesRead) -> Iterator[Finding]:
    """Check each log with what else is stored: its chain, kept states, and the weights."""
    for job in subject.planned.values():
        log = job.path.parent / LOG
        if _cadence(job) is None or log not in files.good:
            continue  # a missing or changed log is reported for the file
        cells = subject.plan.cells(job.path)
        try:
            lines = read_log(log)
        except InputError as error:
            yield Finding("tampered", log.as_posix(), str(error), cells)
            continue
        problem = problem_of_log(job, lines) or _foreign_weights(job, lines, files)
        if problem is not None:
            yield Finding("tampered", log.as_posix(), problem, cells)


def problem_of_log(job: Job, lines: Sequence[Line]) -> str | None:
    """Return what a log contradicts of the record that seals it, or None."""
    cadence, steps = _cadence(job), [line["step"] for line in lines]
    assert cadence is not None
    if not steps or steps != sorted(steps):
        return "its updates are not in order"
    updates = int(job.record["metrics"].get("updates", steps[-1]))
    if steps[-1] != updates:
        return f"it ends after update {steps[-1]} of {updates}"
    if missing := missing_steps(lines, cadence, updates):
        return f"it has no line after update {missing[0]}"
    kept = {output["path"]: output["sha256"] for output in job.outputs}
    digests = {line["step"]: line["state"] for line in lines}
    for step in cadence.kept(updates):
        path = job.path.parent / STATES / state_name(step)
        if kept.get(path.as_posix()) != digests[step]:
            return f"{path} is another state than the log's after update {step}"
    return None


def _foreign_weights(job: Job, lines: Sequence[Line], files: FilesRead) -> str | None:
    """Return which stored network is not in the last state, or None."""
    last = job.path.parent / STATES / state_name(lines[-1]["step"])
    stored = [Path(output["path"]) for output in job.outputs]
    stored = [p for p in stored if p.suffix == last.suffix and p.parent != last.parent]
    if last not in files.good:
        return None
    of_state = tensor_digests(last)
    for path in stored:
        if path in files.good and not _is_within(tensor_digests(path), of_state):
            return f"{path} is not in the training's last state"
    return None


def _is_within(network: Mapping[str, str], state: Mapping[str, str]) -> bool:
    """Return True if a state has the tensors of a network below one name."""
    first = next(iter(network), "")
    below = [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
    return any(all(state.get(p + name) == d for name, d in network.items()) for p in below)


def tensor_digests(path: Path) -> dict[str, str]:
    """Hash type, shape and bytes of each tensor of a safetensors file; none if it is invalid."""
    digests = {}
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(size, path.stat().st_size)))
            header.pop("__metadata__", None)
            for name, tensor in header.items():
                start, end = tensor["data_offsets"]
                file.seek(8 + size + start)
                digest = sha256(f"{tensor['dtype']} {tensor['shape']} ".encode())
                digest.update(file.read(end - start))
                digests[name] = digest.hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError, struct.error):
        return {}
    return digests


def check_replayed(
    subject: Subject, jobs: Sequence[Job], draw: Draw, moved: bool
) -> Iterator[Finding]:
    """Replay segments of each training and compare the states.

    Args:
        subject: the study.
        jobs: the trainings.
        draw: how many segments, and the seed that draws them.
        moved: True if code or environment changed, which may explain a difference.
    """
    for job in jobs:
        place, cells = (job.path.parent / LOG).as_posix(), subject.plan.cells(job.path)
        try:
            lines = read_log(job.path.parent / LOG)
            problem = problem_of_log(job, lines)
        except (InputError, OSError) as error:
            problem = str(error)
        if problem is not None:
            yield Finding("failed", place, f"not replayed: {problem}", cells)
            continue
        cadence = _cadence(job)
        assert cadence is not None
        segments = cadence.segments(lines[-1]["step"])
        drawn = draw.of(segments)
        share = f"{len(drawn)} of {len(segments)} segments, --seed {draw.seed}"
        on_each = [(_machines(lines, segment)[0], segment) for segment in drawn]
        for on, group in groupby(on_each, itemgetter(0)):
            wanted = [segment for _, segment in group]
            answer = _replayed(job, lines, wanted, on)
            if isinstance(answer, str):
                yield Finding("failed", place, f"replayed it failed: {answer}", cells)
                continue
            changed = moved or _changed_meanwhile(job)
            for found in answer["segments"]:
                word, says, remark = judged(lines, answer, found, changed)
                yield Finding(word, place, f"replayed ({share}): {says}", cells, remark)


def judged(
    lines: Sequence[Line], answer: Mapping[str, Any], found: Mapping[str, Any], moved: bool
) -> tuple[Word, str, bool]:
    """Compare a replayed segment with the log.

    Args:
        lines: of the log.
        answer: of `folk.training.replay.answer_request`.
        found: one of its segments.
        moved: True if code or environment changed since.

    Returns:
        word of the finding, sentence, and if it is a remark.
    """
    start, end = segment = tuple(found["segment"])
    name = f"updates {start + 1} to {end}"
    wrong: Word = "stale" if moved else "tampered"
    if answer["updates"] != lines[-1]["step"]:
        length = f"{answer['updates']} updates, its log {lines[-1]['step']}"
        return wrong, f"recipe and data make a training of {length}", False
    first = lines[0]
    if first["on"] == answer["on"] and answer["initial"] != first["state"]:
        return wrong, "recipe and seed make another initial state", False
    digests = {line["step"]: line["state"] for line in lines}
    replayed = {start: found["start"]} | {int(k): d for k, d in found["states"].items()}
    logged = [step for step in digests if start <= step <= end]
    other = next((step for step in logged if replayed.get(step) != digests[step]), None)
    if other is None:
        return "ok", f"{name} are the same bit by bit", True
    alike = all(on == answer["on"] and on["repeatable"] for on in _machines(lines, segment))
    if alike or (other == start and start):
        return wrong, f"{name}: another state after update {other}", False
    says = f"{name} on another kind of machine: {found['distance']:.2g} of the way moved away"
    if found["distance"] <= TOLERANCE:
        return "ok", f"{says}, within {TOLERANCE:g}", True
    return wrong, f"{says}, {TOLERANCE:g} is allowed", False


def _changed_meanwhile(job: Job) -> bool:
    """Return True if two starts of a training had other code or another environment lock."""
    last = job.record["code"]["fingerprint"], job.record["environment"]["lock_sha256"]
    starts = {(start["fingerprint"], start["lock_sha256"]) for start in job.record["restarts"]}
    return bool(starts - {last})


def _machines(lines: Sequence[Line], segment: Segment) -> list[dict[str, Any]]:
    """List the machines that made the updates of a segment, by the log."""
    start, end = segment
    return list(
        {line["step"]: line["on"] for line in lines if start <= line["step"] < end}.values()
    )


def _replayed(
    job: Job, lines: Sequence[Line], segments: Sequence[Segment], on: Mapping[str, Any]
) -> dict[str, Any] | str:
    """Replay segments in a separate process; return its answer, or a problem."""
    with tempfile.TemporaryDirectory(prefix="folk-replay-") as folder:
        work, recipe = Path(folder, "work"), Path(folder, "recipe.yaml")
        write_json(recipe, job.record["recipe"])  # that of the training, `runtime` included
        states = (job.path.parent / STATES).resolve().as_posix()
        steps = [line["step"] for line in lines]
        request = {"states": states, "segments": list(segments), "steps": steps}
        write_json(work / REQUEST, request)
        paths = {"--out": Path(folder, "out"), "--work": work, "--recipe": recipe}
        problem = rerun(
            job, paths, without=("--set",), processes=on["processes"], threads=on["threads"]
        )
        if problem is not None:
            return problem
        return dict(read_keys(work / ANSWER, "replay it again"))


def _cadence(job: Job) -> Cadence | None:
    """Return the digests and states that a training's recipe asks for; None for no log."""
    found = (job.record["recipe"].get("runtime") or {}).get("replay")
    names = {output["name"].partition("/")[0] for output in job.outputs}
    if not found or LOG not in names:
        return None
    return Cadence(max(1, found["every"]), max(1, found["keep"]))  # a record may be forged
