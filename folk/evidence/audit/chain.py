"""Provenance graph of a study's records: jobs, their inputs and outputs.

`Chain` only checks that the records are consistent; comparing them with the files is left to its
callers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import READERS, failed_paths, reader_paths, record_paths
from folk.evidence.record.record import DIFF_NAME
from folk.evidence.record.schema import read_record, record_id

RECORD_NAME = "record.json"
EDITED = "its id does not match its content; it was edited"


@dataclass(frozen=True, eq=False)
class Job:
    """One record and its path."""

    path: Path  # of the record, relative to the repository
    record: dict[str, Any]

    @property
    def id(self) -> str:
        """The id stored in the record."""
        return str(self.record["id"])

    @property
    def name(self) -> str:
        """Stage, run and evaluation, such as `finetune folk-s0/few-a`."""
        place = "/".join(filter(None, (self.record["run"], self.record["evaluation"])))
        return f"{self.record['stage']} {place}".rstrip()

    @property
    def finished(self) -> bool:
        """True if the job has completed."""
        return bool(self.record["outcome"] == "finished")

    @cached_property
    def id_holds(self) -> bool:
        """True if the id matches the record's content."""
        try:
            return record_id(self.record) == self.id
        except ValueError:  # no job writes a number that has no exact JSON
            return False

    @property
    def edited(self) -> str | None:
        """A message if the id does not match the content, else None."""
        return None if self.id_holds else f"{self.path}: {EDITED}"

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Name, path, size and digests of each file that the job made."""
        return list(self.record["outputs"])

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Name, path, size, digests and maker's record of each file that the job read."""
        return list(self.record["inputs"])

    @property
    def diff(self) -> Path | None:
        """Path of the uncommitted changes that the job ran with, if any."""
        path = self.path.with_name(DIFF_NAME) if self.finished else self.path.with_suffix(".diff")
        return path if self.record["code"]["dirty_diff_sha256"] else None


@dataclass(frozen=True)
class Link:
    """One input of a job, and the job that made it, by its record.

    `problem` is a message if the chain is broken here, else None. An input from outside of the
    study (an archive, a recipe, a list) has no maker and no problem. The bytes of an input that the
    reader could name no maker of are compared with those of the job whose file it is.
    """

    entry: dict[str, Any]
    maker: Job | None
    problem: str | None


class Chain:
    """The records of one study, read lazily.

    Args:
        results: the study's own folder, such as `results/demo`.
        root: the folder of the repository, the base of recorded paths.
    """

    def __init__(self, results: Path, root: Path = Path()) -> None:
        self.results = results
        self.root = root
        self._jobs: dict[Path, Job] = {}

    def at(self, path: Path) -> Job:
        """Read the job of the record at `path`, relative to the repository.

        Raises:
            InputError: missing or invalid record, or one that lists outputs outside its own folder,
                which must not be read or changed.
        """
        if path not in self._jobs:
            job = Job(path, read_record(self.root / path))
            # What a person opens, such as the page, is one folder up.
            is_reader = path.parent.parent == self.results and path.parent.name in READERS
            own = self.results if is_reader else path.parent
            for output in job.outputs:
                if own not in Path(output["path"]).parents:
                    raise InputError(
                        f"{path}: lists an output outside its own folder: {output['path']}"
                    )
            self._jobs[path] = job
        return self._jobs[path]

    def readable(self, paths: Iterable[Path]) -> tuple[dict[Path, Job], dict[Path, str]]:
        """Read the jobs of the records at these paths, and the problems of unreadable ones."""
        jobs: dict[Path, Job] = {}
        problems: dict[Path, str] = {}
        for path in paths:
            try:
                jobs[path] = self.at(path)
            except InputError as error:
                problems[path] = str(error)
        return jobs, problems

    def record_paths(self) -> list[Path]:
        """Paths of the records of finished jobs, sorted; those of `READERS` are not among them."""
        return [self._from_root(path) for path in record_paths(self.root / self.results)]

    def reader_paths(self) -> list[Path]:
        """Paths of the records of `READERS`."""
        return [self._from_root(path) for path in reader_paths(self.root / self.results)]

    def failed_paths(self) -> list[Path]:
        """Paths of the records of failed and interrupted jobs, sorted, without `READERS`."""
        return [self._from_root(path) for path in failed_paths(self.root / self.results)]

    def _from_root(self, path: Path) -> Path:
        return path.relative_to(self.root) if path.is_relative_to(self.root) else path

    def links(self, job: Job) -> list[Link]:
        """Link each input of a job to the job that made it."""
        return [self._link(entry) for entry in job.inputs]

    def behind(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the given jobs and their transitive dependencies, in dependency order."""
        order: dict[Path, Job] = {}
        seen: set[Path] = set()  # a forged record may name its own result as an input

        def visit(job: Job) -> None:
            if job.path in seen:
                return
            seen.add(job.path)
            for link in self.links(job):
                if link.maker is not None:
                    visit(link.maker)
            order[job.path] = job

        for job in jobs:
            visit(job)
        return list(order.values())

    def broken(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, str]]:
        """Yield a message for each inconsistency between the records of these jobs."""
        for job in jobs:
            if job.edited is not None:
                yield job, job.edited
            for link in self.links(job):
                if link.problem is not None:
                    yield job, link.problem

    def _link(self, entry: dict[str, Any]) -> Link:
        wanted, path = entry["record"], Path(entry["path"])
        if wanted is None and self.results not in path.parents:
            return Link(entry, None, None)
        for folder in (path.parent, path.parent.parent):
            record = folder / RECORD_NAME
            if not (self.root / record).is_file():
                continue
            try:
                maker = self.at(record)
            except InputError as error:
                return Link(entry, None, str(error))
            return Link(entry, maker, _misfit(entry, maker, wanted))
        missing = f"{path}: missing record {wanted[:12]} that made it" if wanted else None
        return Link(entry, None, missing)


def _misfit(entry: dict[str, Any], maker: Job, wanted: str | None) -> str | None:
    made = {(output["path"], output["sha256"]) for output in maker.outputs}
    is_record = entry["path"] == maker.path.as_posix()
    if not is_record and (entry["path"], entry["sha256"]) not in made:
        return f"{entry['path']}: {maker.path} records other bytes than were read"
    if wanted is not None and maker.id != wanted:
        return f"{maker.path}: another record was here when {entry['path']} was read"
    return None
