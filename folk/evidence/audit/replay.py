"""Replay of parts of a training from its kept states, and check of its log.

A training is cut into segments where its states are kept. A segment that was not trained as its
record says is caught when it is drawn, so one such segment among S is caught by n draws with
probability n / S.
"""

import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

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
    read_log,
    state_name,
)
from folk.evidence.study.stage import Stage

# Of the distance that the weights move in a segment, where sums have other last bits, which
# training amplifies. An unrelated state is at 1 and more; one that skipped a share of the updates
# is at about that share.
TOLERANCE = 0.5


@dataclass(frozen=True)
class Draw:
    """Trainings to replay (run or run/evaluation), and how many segments of each."""

    trainings: tuple[str, ...]
    segments: int
    seed: int

    def of(self, segments: Sequence[Segment]) -> list[Segment]:
        """Draw distinct segments, in their order."""
        # A string gives the same seed in every version and process.
        drawn = random.Random(f"replay {self.seed}")
        return sorted(drawn.sample(segments, min(self.segments, len(segments))))


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
        try:
            lines = read_log(log)
            problem = problem_of_log(job, lines) or _foreign_weights(job, lines, files)
        except InputError as error:
            problem = str(error)
        if problem is not None:
            yield Finding("tampered", log.as_posix(), problem, subject.plan.cells(job.path))


def problem_of_log(job: Job, lines: Sequence[Line]) -> str | None:
    """Return what a log contradicts of the record that seals it, or None."""
    cadence, steps = _cadence(job), [line["step"] for line in lines]
    assert cadence is not None
    if not steps or steps != sorted(steps):
        return "its updates are not in order"
    updates = int(job.record["metrics"].get("updates", steps[-1]))
    if steps[-1] != updates:
        return f"it ends after update {steps[-1]} of {updates}"
    if missing := sorted({*cadence.steps(updates)} - {*steps}):
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
    stored = {Path(output["path"]) for output in job.outputs} & {*files.good}
    networks = (p for p in sorted(stored) if p.suffix == last.suffix and p.parent != last.parent)
    state = tensor_digests(last) if last in stored else {}
    found = (path for path in networks if state and not _is_within(tensor_digests(path), state))
    return next((f"{path} is not in the training's last state" for path in found), None)


def _is_within(network: Mapping[str, str], state: Mapping[str, str]) -> bool:
    """Return True if a state has the tensors of a network, with longer names."""
    found = (any(d == of and n.endswith(f".{name}") for n, of in state.items())
             for name, d in network.items())  # fmt: skip
    return bool(network) and all(found)


def tensor_digests(path: Path) -> dict[str, str]:
    """Hash type, shape and bytes of each tensor of a safetensors file; none if it is invalid."""
    digests = {}
    try:
        with path.open("rb") as file:
            size = min(int.from_bytes(file.read(8), "little"), path.stat().st_size)
            header = json.loads(file.read(size))
            header.pop("__metadata__", None)
            for name, tensor in header.items():
                start, end = tensor["data_offsets"]
                file.seek(8 + size + start)
                form = f"{tensor['dtype']} {tensor['shape']} ".encode()
                digests[name] = sha256(form + file.read(end - start)).hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError):
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
        log, cells = job.path.parent / LOG, subject.plan.cells(job.path)
        try:
            lines = read_log(log)
            problem = problem_of_log(job, lines)
        except (InputError, OSError) as error:
            problem = str(error)
        if problem is not None:
            yield Finding("failed", log.as_posix(), f"not replayed: {problem}", cells)
            continue
        cadence = _cadence(job)
        assert cadence is not None
        stage = subject.study.stages[job.record["stage"]]
        segments = cadence.segments(lines[-1]["step"])
        for number, segment in enumerate(drawn := draw.of(segments), start=1):
            found = _replayed(job, stage, lines, segment)
            word, says = judged(lines, segment, found, moved or _changed_meanwhile(job))
            share = f"{number} of {len(drawn)} drawn of {len(segments)}, --seed {draw.seed}"
            says = f"updates {segment[0] + 1} to {segment[1]} replayed ({share}): {says}"
            yield Finding(word, log.as_posix(), says, cells, remark=word == "ok")


def judged(
    lines: Sequence[Line], segment: Segment, answer: Mapping[str, Any] | str, moved: bool
) -> tuple[Word, str]:
    """Compare a replayed segment with the log.

    Args:
        lines: of the log.
        segment: its first and last update.
        answer: of `folk.training.replay.answer_request`, or why there is none.
        moved: True if code or environment changed since.

    Returns:
        word of the finding, and sentence.
    """
    if isinstance(answer, str):
        return "failed", answer
    start, end = segment
    wrong: Word = "stale" if moved else "tampered"
    if answer["updates"] != lines[-1]["step"]:
        length = f"{answer['updates']} updates, its log {lines[-1]['step']}"
        return wrong, f"recipe and data make a training of {length}"
    if lines[0]["on"] == answer["on"] and lines[0]["state"] != answer["initial"]:
        return wrong, "recipe and seed make another initial state"
    digests = {line["step"]: line["state"] for line in lines if start <= line["step"] <= end}
    other = next((s for s, d in digests.items() if answer["states"].get(str(s)) != d), None)
    if other is None:
        return "ok", "the same bit by bit"
    alike = all(on == answer["on"] and on["repeatable"] for on in _machines(lines, segment))
    if alike or 0 < start == other:
        return wrong, f"another state after update {other}"
    says = f"on another kind of machine {answer['distance']:.2g} of the way moved away"
    if answer["distance"] <= TOLERANCE:
        return "ok", f"{says}, within {TOLERANCE:g}"
    return wrong, f"{says}, {TOLERANCE:g} is allowed"


def _changed_meanwhile(job: Job) -> bool:
    """Return True if two starts of a training had other code or another environment lock."""
    last = job.record["code"]["fingerprint"], job.record["environment"]["lock_sha256"]
    return any((s["fingerprint"], s["lock_sha256"]) != last for s in job.record["restarts"])


def _machines(lines: Sequence[Line], segment: Segment) -> list[dict[str, Any]]:
    """List the machines that made the updates of a segment, by the log."""
    start, end = segment
    # Of two lines of one update, the second names the machine that went on.
    made_on = {line["step"]: line["on"] for line in lines if start <= line["step"] < end}
    return list(made_on.values())


def _replayed(
    job: Job, stage: Stage, lines: Sequence[Line], segment: Segment
) -> dict[str, Any] | str:
    """Replay a segment in a separate process; return its answer, or a problem."""
    on = _machines(lines, segment)[0]
    with tempfile.TemporaryDirectory(prefix="folk-replay-") as folder:
        work, recipe = Path(folder, "work"), Path(folder, "recipe.yaml")
        write_json(recipe, job.record["recipe"])  # that of the training, `runtime` included
        states = (job.path.parent / STATES).resolve().as_posix()
        steps = [line["step"] for line in lines]
        write_json(work / REQUEST, {"states": states, "stretch": segment, "steps": steps})
        paths = {"--out": Path(folder, "out"), "--work": work, "--recipe": recipe}
        problem = rerun(
            job, stage, paths, without=("--set",), processes=on["processes"], threads=on["threads"]
        )
        return f"it failed: {problem}" if problem else read_keys(work / ANSWER, "try again")


def _cadence(job: Job) -> Cadence | None:
    """Return the digests and states that a training's recipe asks for; None for no log."""
    names = {output["name"] for output in job.outputs}
    try:
        return Cadence(**job.record["recipe"]["runtime"]["replay"]) if LOG in names else None
    except (KeyError, TypeError, ValidationError):
        return None  # an edited record
