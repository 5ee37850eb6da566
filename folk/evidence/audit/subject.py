"""Study under audit: its plan, records and seal, read once for all checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import Chain, Job
from folk.evidence.audit.plan import Plan
from folk.evidence.audit.seal import Seal, read_seal, seal_path
from folk.evidence.audit.today import FindRecipe, no_recipes
from folk.evidence.core.errors import InputError
from folk.evidence.record.adopted import read_adopted
from folk.evidence.report.assumptions import Choices, no_choices
from folk.evidence.study.study import Study


@dataclass
class Subject:
    """Input of all checks; paths are relative to the current folder, the repository."""

    study: Study
    study_path: Path
    results: Path  # the study's own folder, such as results/demo
    published: Path
    recipes: Mapping[tuple[str, str], Mapping[str, Any]]  # today's values, by stage and entry
    choices: Choices = no_choices  # alternatives to the values of assumed keys
    recipe: FindRecipe = no_recipes  # today's recipe of an entry, for the page
    not_checked: list[str] = field(default_factory=list)

    @cached_property
    def seal(self) -> Seal | None:
        """The study's seal; None if missing or invalid."""
        try:
            return read_seal(seal_path(self.results))
        except InputError:
            return None

    @cached_property
    def plan(self) -> Plan:
        """The study file's jobs."""
        return Plan(self.study, self.results)

    @cached_property
    def chain(self) -> Chain:
        """The records, as a graph."""
        return Chain(self.results)

    @cached_property
    def _read(self) -> tuple[dict[Path, Job], dict[Path, Job], dict[Path, str]]:
        finished, unreadable = self.chain.readable(self.chain.record_paths())
        failed, others = self.chain.readable(self.chain.failed_paths())
        return finished, failed, unreadable | others

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
        """Problems of unreadable records, by path."""
        return self._read[2]

    @cached_property
    def planned(self) -> dict[Path, Job]:
        """The finished records of planned jobs, by path."""
        return {p: job for p, job in self.finished.items() if p.parent in self.plan.jobs}

    @cached_property
    def adopted(self) -> dict[str, str]:
        """Path and id of the adopted records.

        Raises:
            InputError: invalid file.
        """
        return read_adopted(self.results)
