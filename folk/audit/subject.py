"""A study under audit: its plan, its records and its seal, read once for all checks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from folk.audit.chain import Chain, Job
from folk.audit.plan import Plan
from folk.errors import InputError
from folk.report.assumptions import Choices, no_choices
from folk.study import Study

ADOPTED_NAME = "adopted.json"


@runtime_checkable
class SealLike(Protocol):
    """What an audit asks of a seal: digests of the study's records and of its small results."""

    @property
    def study(self) -> str:
        """Name of the study."""
        ...

    @property
    def chain(self) -> str:
        """The one digest of its records."""
        ...

    @property
    def holds(self) -> bool:
        """Whether its digests are those of what stands in it."""
        ...

    @property
    def records(self) -> Mapping[str, str]:
        """Id of each finished record, by path."""
        ...

    @property
    def failed(self) -> Mapping[str, str]:
        """Id of each failed record, by path."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """The sha256 of each small result, by path."""
        ...


@runtime_checkable
class Seals(Protocol):
    """How seals are found and read; the module of seals is one."""

    def seal_path(self, results: Path, /) -> Path:
        """Where the seal of a study stands."""
        ...

    def read_seal(self, path: Path, /) -> SealLike | None:
        """The seal, None when there is none; InputError when it is not readable."""
        ...


@dataclass
class Subject:
    """What all checks look at; paths are seen from the current folder, the repository's."""

    study: Study
    study_path: Path
    results: Path  # the study's own folder, such as results/demo
    published: Path
    recipes: Mapping[tuple[str, str], Mapping[str, Any]]  # today's values, by stage and entry
    seals: Seals
    choices: Choices = no_choices  # which other values an assumed key could have had
    not_checked: list[str] = field(default_factory=list)

    @cached_property
    def seal(self) -> SealLike | None:
        """The study's seal; None when it has none, or one that is not readable."""
        try:
            return self.seals.read_seal(self.seals.seal_path(self.results))
        except InputError:
            return None

    @cached_property
    def plan(self) -> Plan:
        """What the study file asks for."""
        return Plan(self.study, self.results)

    @cached_property
    def chain(self) -> Chain:
        """The records, as a graph."""
        return Chain(self.results)

    @cached_property
    def _read(self) -> tuple[dict[Path, Job], dict[Path, Job], dict[Path, str]]:
        finished: dict[Path, Job] = {}
        failed: dict[Path, Job] = {}
        unreadable: dict[Path, str] = {}
        places = ((self.chain.record_paths(), finished), (self.chain.failed_paths(), failed))
        for paths, jobs in places:
            for path in paths:
                try:
                    jobs[path] = self.chain.at(path)
                except InputError as error:
                    unreadable[path] = str(error)
        return finished, failed, unreadable

    @property
    def finished(self) -> dict[Path, Job]:
        """The readable records of finished jobs, by path."""
        return self._read[0]

    @property
    def failed(self) -> dict[Path, Job]:
        """The readable records of failed and interrupted jobs, by path."""
        return self._read[1]

    @property
    def unreadable(self) -> dict[Path, str]:
        """What is wrong with records that cannot be read, by path."""
        return self._read[2]

    @cached_property
    def planned(self) -> dict[Path, Job]:
        """The finished records that the study file asks for, by path."""
        return {p: job for p, job in self.finished.items() if p.parent in self.plan.jobs}

    @cached_property
    def adopted(self) -> dict[str, str]:
        """Path and id of the records whose bytes came by pull.

        Raises:
            InputError: the file is not what `adopt` writes.
        """
        path = self.results / ADOPTED_NAME
        if not path.is_file():
            return {}
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            entries = said["records"] if isinstance(said, dict) else said
            return {str(entry["path"]): str(entry["id"]) for entry in entries}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not readable: {error}; run `adopt` again") from error
