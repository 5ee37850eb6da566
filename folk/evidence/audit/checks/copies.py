"""Checks for copies that pass for runs."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from folk.evidence.audit.chain import Job
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject

ENCODER, HISTORY = "encoder.safetensors", "metrics.jsonl"


def check_histories(subject: Subject) -> Iterator[Finding]:
    """Report equal histories of two jobs: each line has its time, so one is a copy."""
    for first, *others in _alike(subject, HISTORY):
        for job in others:
            says = f"its history is, time by time, that of {first.path}: one is a copy"
            cells = subject.plan.cells(first.path, job.path)
            yield Finding("tampered", job.path.as_posix(), says, cells)


def check_encoders(subject: Subject) -> Iterator[Finding]:
    """Report equal encoders of runs that differ.

    Legitimate twins: the same recipe, seed and inputs; untrained encoders of one seed; external
    weights.
    """
    for alike in _alike(subject, ENCODER):
        for first, job in combinations(alike, 2):
            if _origin(first) == _origin(job) or (_is_external(first) and _is_external(job)):
                continue
            cells = subject.plan.cells(first.path, job.path)
            trained = [_output(each, HISTORY) is not None for each in (first, job)]
            says = f"its encoder is, bit by bit, that of {first.path}"
            if first.record["seed"] != job.record["seed"] or trained[0] != trained[1]:
                yield Finding("tampered", job.path.as_posix(), f"{says}: one is a copy", cells)
            elif all(trained):
                says += ", of another recipe or data set"
                yield Finding("ok", job.path.as_posix(), says, cells, remark=True)


def check_order(subject: Subject) -> Iterator[Finding]:
    """Remark on a job that started before the job had ended whose result it read.

    Clocks of two machines differ, and are set back, so this is no proof.
    """
    for job in subject.planned.values():
        for link in subject.chain.links(job):
            maker = link.maker
            if maker is None or link.problem or not maker.record["ended"]:
                continue
            if maker.record["ended"] > job.record["started"]:
                says = f"started {job.record['started']}, before {maker.path}, which it read, "
                says += f"ended, {maker.record['ended']}: a clock was wrong, or a record is"
                cells = subject.plan.cells(job.path)
                yield Finding("ok", job.path.as_posix(), says, cells, remark=True)


def check_replaced(subject: Subject) -> Iterator[Finding]:
    """Remark on inputs that were replaced or touched while a job ran."""
    for job in subject.planned.values():
        for entry in job.inputs:
            if entry.get("replaced"):
                says = f"{entry['path']}, or a shard next to it, was replaced or touched while the "
                says += "job ran; its bytes were the recorded ones at the start and at the end"
                cells = subject.plan.cells(job.path)
                yield Finding("ok", job.path.as_posix(), says, cells, remark=True)


def _alike(subject: Subject, name: str) -> Iterator[list[Job]]:
    """Yield the jobs of a stage whose outputs of this name are equal and not empty."""
    found: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in subject.planned.values():
        if (sha256 := _output(job, name)) is not None:
            found[job.record["stage"], sha256].append(job)
    yield from (jobs for jobs in found.values() if len(jobs) > 1)


def _output(job: Job, name: str) -> str | None:
    """Return the sha256 of an output of this name; None if there is none or it is empty."""
    path = (job.path.parent / name).as_posix()
    found = (o["sha256"] for o in job.outputs if o["path"] == path and o["size"])
    return next(found, None)


def _is_external(job: Job) -> bool:
    """Return True if the recipe asks for weights that others trained."""
    encoder = job.record["recipe"].get("encoder")
    return isinstance(encoder, dict) and encoder.get("checkpoint") is not None


def _origin(job: Job) -> tuple[object, ...]:
    read = sorted(str(entry["sha256"]) for entry in job.inputs)
    return job.record["recipe_digest"], job.record["seed"], *read
