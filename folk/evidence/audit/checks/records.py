"""Check of the records: complete, unedited, in place and consistent."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import Job, Link
from folk.evidence.audit.command import options_of
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.job_differences import without_prose
from folk.evidence.audit.plan import folder_of
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import READERS


def check_records(subject: Subject) -> Iterator[Finding]:
    """Check every record, then every link between two of them."""
    for path, problem in subject.unsound.items():
        yield Finding("tampered", path.as_posix(), problem, subject.plan.cells(path))
    for job in [*subject.finished.values(), *subject.failed.values()]:
        yield from _alone(subject, job)
    # A mirror in MLflow that is older than the records is no fault of theirs.
    reports = [job for path, job in subject.readers.items() if path.parent.name == "report"]
    for job in [*subject.planned.values(), *reports]:
        for link in subject.chain.links(job):
            if link.problem is not None:
                yield from _broken(subject, job, link)
    yield from _not_there(subject)


def check_failed(subject: Subject) -> Iterator[Finding]:
    """Report failed and interrupted jobs, and the cells that they leave empty."""
    for path, job in subject.failed.items():
        if job.record["study"] != subject.study.name:
            continue  # reported as foreign
        folder = folder_of(subject.results, job.record)
        later = folder / "record.json" in subject.finished
        error = job.record["error"] or {"type": "unknown", "message": ""}
        reason = f"{error['type']}: {error['message']}".splitlines()[0][:200]
        says = f"{job.name} {job.record['outcome']} ({reason})"
        says += "; a later start finished it" if later else ""
        # A finished job leaves its recipe; if its record is gone or unsound, that is reported.
        left = later or (folder / "recipe.yaml").is_file()
        cells = () if left else subject.plan.cells(folder)
        yield Finding("failed", path.as_posix(), says, cells, remark=not cells)


def made_since(job: Job, others: Iterable[Job]) -> bool:
    """Return True if a job started after all the others had ended, by their records.

    A record that differs from its id in others was either made again or edited. One that was made
    again started later than all readers of its predecessor.
    """
    ends = [other.record["ended"] or other.record["started"] for other in others]
    return bool(job.id_holds and ends and job.record["started"] > max(ends))


def _alone(subject: Subject, job: Job) -> Iterator[Finding]:
    place, record = job.path.as_posix(), job.record
    cells = subject.plan.cells(folder_of(subject.results, record), job.path)
    if record["study"] != subject.study.name:
        says = f"a record of the study '{record['study']}'"
        yield Finding("foreign", place, says, subject.plan.cells(job.path))
        return
    folder = folder_of(subject.results, record)
    if not job.finished:
        here = subject.plan.without_failed(job.path.parent)
        if here != folder:
            says = f"a failed record of another folder: {folder}"
            yield Finding("tampered", place, says, subject.plan.cells(folder, here))
        return
    if folder != job.path.parent:
        yield Finding("tampered", place, f"a record of another folder: {folder}", cells)
    elif (problem := _contradiction(record)) is not None:
        yield Finding("tampered", place, problem, cells)
    elif job.path in subject.readers:
        return
    elif folder not in subject.plan.jobs:
        says = f"no job of {subject.study_path}: it is left over, or excluded"
        yield Finding("foreign", place, says)
    elif record["seed"] != subject.plan.jobs[folder].seed:
        says = f"seed {record['seed']} does not match its run '{record['run']}'"
        yield Finding("tampered", place, says, cells)
    elif record.get("finetune_seed") != subject.plan.jobs[folder].finetune_seed:
        found, asked = record.get("finetune_seed"), subject.plan.jobs[folder].finetune_seed
        says = f"expected the fine-tuning seed {_or_none(asked)}, got {_or_none(found)}"
        yield Finding("tampered", place, says, cells)
    else:
        try:
            options_of(job, subject.study.stages[record["stage"]])
        except InputError as error:
            yield Finding("tampered", place, str(error), cells)


def _contradiction(record: dict[str, Any]) -> str | None:
    """Return in what a record contradicts itself, or None."""
    if sha256_of_json(without_prose(record["recipe"])) != record["recipe_digest"]:
        return "its recipe is not that of its recipe_digest"
    if record["parents"] != sorted({e["record"] for e in record["inputs"] if e["record"]}):
        return "its parents are not the records that its inputs name"
    return None


def _or_none(seed: int | None) -> str:
    return "none" if seed is None else str(seed)


def _broken(subject: Subject, job: Job, link: Link) -> Iterator[Finding]:
    path, maker = Path(link.entry["path"]), link.maker
    cells = subject.plan.cells(path, job.path)
    if maker is None:
        here = path.parent if path.parent.name != "shards" else path.parent.parent
        record = here / "record.json"
        if record not in subject.unsound:
            says = "the record is missing, others name it"
            yield Finding("missing", record.as_posix(), says, cells)
    elif made_since(maker, [job]):
        says = f"{maker.path} was made again after this job had read {path}"
        yield Finding("stale", job.path.as_posix(), says, subject.plan.cells(job.path))
    elif link.entry["record"] is None:  # the reader read what no job had made
        says = str(link.problem)
        yield Finding("tampered", job.path.as_posix(), says, subject.plan.cells(job.path))
    elif maker.path not in subject.unsound:
        says = f"{link.problem} ({job.path} names it)"
        yield Finding("tampered", maker.path.as_posix(), says, cells)


def _not_there(subject: Subject) -> Iterator[Finding]:
    """Report the first missing job of each chain; the rest follows from it."""
    given = {*subject.finished, *subject.unsound}
    failed = {folder_of(subject.results, job.record) for job in subject.failed.values()}
    for folder, planned in subject.plan.jobs.items():
        record = folder / "record.json"
        if record in given or folder in failed:
            continue
        if all(below / "record.json" in given for below in planned.reads):
            left = any(path.suffix not in (".log", ".jsonl") for path in folder.glob("*.*"))
            says = "the record is missing, its files are there" if left else "not run"
            yield Finding("missing", record.as_posix(), says, subject.plan.cells(folder))
    if all(folder / "record.json" in given for folder in subject.plan.jobs):
        yield from _readers_not_there(subject, given | failed)


def _readers_not_there(subject: Subject, given: set[Path]) -> Iterator[Finding]:
    for stage, output in zip(READERS, ("cells.parquet", "tracked.json"), strict=True):
        folder = subject.results / stage
        if folder in given or folder / "record.json" in given:
            continue
        old = (subject.results / output).exists()
        why = "deleted, or of a version before 0.3, which made none" if old else "not run"
        says = f"{why}; run snakemake again"
        yield Finding("missing", (folder / "record.json").as_posix(), says)
