"""Adoption of a study's pulled results: verify every file, then order their mtimes.

A checkout sets mtimes to its own time, and a workflow based on mtimes would make the results again.
After every file is verified, the results get the times of their jobs, in dependency order.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import Chain, Job
from folk.evidence.audit.seal import read_seal, seal_path, seal_problems
from folk.evidence.core.digest import FileDigest, digest_file
from folk.evidence.core.each_file import of_each_file
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_json
from folk.evidence.core.secrets import without_secrets
from folk.evidence.record.adopted import ADOPTED_NAME, read_adopted
from folk.evidence.record.failures import FAILED, WORK, record_paths
from folk.evidence.record.record import MADE_NAME

STEP_NS = 10**9  # between two jobs: some file systems have a resolution of a second


@dataclass(frozen=True)
class Adoption:
    """Result of an adoption."""

    adopted: int  # records whose bytes came by pull
    computed_here: int  # records of jobs that ran on this machine's copy
    files: int  # files whose bytes were compared
    sealed: bool  # True if a seal covers the records


def adoption_problems(results: Path, root: Path = Path()) -> tuple[list[Job], list[str]]:
    """Compare all files with records and seal, without changing anything.

    Args:
        results: the study's own folder, seen from `root`.
        root: the folder of the repository.

    Returns:
        the records in dependency order, and a line for each problem.
    """
    chain = Chain(results, root)
    finished, unreadable = chain.readable(chain.record_paths())
    readers, unreadable_readers = chain.readable(chain.reader_paths())
    jobs = [*finished.values(), *readers.values()]
    problems = [*unreadable.values(), *unreadable_readers.values()]
    ordered = chain.behind(jobs)
    problems += [sentence for _, sentence in chain.broken(finished.values())]
    # What they read may have been made again here since; then they are outdated, not broken.
    problems += [job.edited for job in readers.values() if job.edited]
    failed, unreadable = chain.readable(chain.failed_paths())
    problems += [*unreadable.values(), *(job.edited for job in failed.values() if job.edited)]
    problems += _byte_problems(jobs, root)
    if seal_path(root / results).is_file():
        inside = f"{results.as_posix()}/"
        # Study and published numbers may have changed since, and jobs may have run here.
        ours = tuple(f"{job.path}:" for job in jobs if _made_here(job, results, root))
        lines = [line for line in seal_problems(results, root) if line.startswith(inside)]
        problems += [line for line in lines if not line.startswith(ours)]
    return ordered, list(dict.fromkeys(problems))


def adopt(study: str, results: Path, argv: Sequence[str], root: Path = Path()) -> Adoption:
    """Check a study's results, note which were not computed here, and order their time stamps.

    Args:
        study: name of the study.
        results: its own folder, seen from `root`, such as `results/demo`.
        argv: the command line, for the note.
        root: the folder of the repository.

    Returns:
        the result.

    Raises:
        InputError: a line for each changed file, missing file or broken link, or no results at all;
            nothing was changed.
    """
    if not record_paths(root / results):  # of which the seal, which is in git, names every one
        raise InputError(f"{results}: no records; get the results with `dvc pull` first")
    jobs, problems = adoption_problems(results, root)
    if problems:
        raise InputError("\n".join(problems))
    before = read_adopted(root / results)
    pulled = [job for job in jobs if not _made_here(job, results, root)]
    records = [{"path": job.path.as_posix(), "id": job.id} for job in pulled]
    if {entry["path"]: entry["id"] for entry in records} != before:
        note: dict[str, Any] = {
            "study": study,
            "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "argv": [without_secrets(argument) for argument in argv],
            "records": records,
        }
        write_json(root / results / ADOPTED_NAME, note)
    _order_times(jobs, pulled, results, root)
    return Adoption(
        adopted=len(pulled),
        computed_here=len(jobs) - len(pulled),
        files=sum(len(job.outputs) for job in jobs),
        sealed=read_seal(seal_path(root / results)) is not None,
    )


def _byte_problems(jobs: Iterable[Job], root: Path) -> list[str]:
    entries = [(job, entry) for job in jobs for entry in job.outputs]
    places = {root / entry["path"] for _, entry in entries}
    found = of_each_file((path for path in places if path.is_file()), digest_file)
    lines = (_byte_problem(job, entry, found.get(root / entry["path"])) for job, entry in entries)
    return sorted(line for line in lines if line is not None)


def _byte_problem(job: Job, entry: dict[str, Any], found: FileDigest | None) -> str | None:
    if found is None:
        return f"{entry['path']}: missing, recorded in {job.path}; get it with `dvc pull`"
    for name in ("size", "sha256", "md5"):
        if getattr(found, name) != entry[name]:
            return (
                f"{entry['path']}: {name} is {getattr(found, name)}, {job.path} says {entry[name]}"
            )
    return None


def _made_here(job: Job, results: Path, root: Path) -> bool:
    place = job.path.parent.relative_to(results)
    note = root / results / WORK / place / MADE_NAME
    return note.is_file() and note.read_text(encoding="utf-8").strip() == job.id


def _order_times(jobs: Sequence[Job], pulled: Sequence[Job], results: Path, root: Path) -> None:
    """Set the mtimes of each pulled job to its end, later than all jobs before it.

    Every job gets a separate time in dependency order, so that this also works if a cache links
    equal files of two jobs to one inode. Local results keep their times, and older tables are made
    again.
    """
    moment, came = 0, {job.path for job in pulled}
    # A link may lead to the cache, whose file was compared. Other targets of links are not
    # touched.
    compared = {root / entry["path"] for job in jobs for entry in job.outputs}
    compared |= {root / job.path for job in jobs}
    for job in jobs:
        ended = datetime.fromisoformat(str(job.record["ended"]))
        moment = max(moment + STEP_NS, int(ended.timestamp()) * 10**9)
        if job.path in came:
            _set_times((root / job.path.parent).rglob("*"), moment, compared)
    if len(came) == len(jobs):
        stages = {job.path.relative_to(results).parts[0] for job in jobs} | {FAILED, WORK}
        others = [path for path in (root / results).iterdir() if path.name not in stages]
        below = [path for folder in others for path in folder.rglob("*")]
        _set_times([*others, *below], moment + STEP_NS, compared)


def _set_times(paths: Iterable[Path], moment: int, through_links: Collection[Path]) -> None:
    for path in paths:
        try:
            os.utime(path, ns=(moment, moment), follow_symlinks=False)
            # Snakemake takes the later time of link and target. Jobs and studies share targets, and
            # the first of them needs the earliest.
            if path in through_links and path.stat().st_mtime_ns > moment:
                os.utime(path, ns=(moment, moment))
        except OSError as error:
            raise InputError(
                f"{path}: cannot set its mtime ({error.strerror}); run adopt as its owner, "
                "or pull copies instead of links (`dvc config cache.type copy`)"
            ) from error
