"""Study under audit: its plan, records and seal, read once for all checks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from folk.evidence.audit.chain import EDITED, Chain, Job
from folk.evidence.audit.plan import Plan
from folk.evidence.audit.seal import Seal, committed_seal, read_seal, seal_path
from folk.evidence.audit.today import Recipes
from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import READERS, failed_paths
from folk.evidence.study.study import Study


@dataclass
class Subject:
    """Input of all checks; paths are relative to the current folder, the repository."""

    study: Study
    study_path: Path
    results: Path  # the study's own folder, such as results/demo
    published: Path
    recipes: Recipes
    sources: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)  # of data sets, today
    not_checked: list[str] = field(default_factory=list)

    @cached_property
    def seal(self) -> Seal | None:
        """The study's seal; None if missing or invalid."""
        try:
            return read_seal(seal_path(self.results))
        except InputError:
            return None

    @cached_property
    def committed(self) -> Seal | None:
        """The study's seal in git's HEAD; None without one."""
        return committed_seal(self.results)

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
        finished, problems = self._sound([*self.chain.record_paths(), *self.chain.reader_paths()])
        of_readers = [p for stage in READERS for p in failed_paths(self.results, Path(stage))]
        failed, others = self._sound([*self.chain.failed_paths(), *of_readers])
        return finished, failed, problems | others

    def _sound(self, paths: Iterable[Path]) -> tuple[dict[Path, Job], dict[Path, str]]:
        jobs, problems = self.chain.readable(path for path in paths if path.is_file())
        edited = {path: EDITED for path, job in jobs.items() if not job.id_holds}
        return {p: job for p, job in jobs.items() if p not in edited}, problems | edited

    @property
    def finished(self) -> dict[Path, Job]:
        """The sound records of finished jobs, by path.

        An edited record is none: its files, makers and recipe accuse nobody.
        """
        return self._read[0]

    @property
    def failed(self) -> dict[Path, Job]:
        """The sound records of failed and interrupted jobs, by path."""
        return self._read[1]

    @property
    def unsound(self) -> dict[Path, str]:
        """Problems of unreadable and edited records, by path."""
        return self._read[2]

    def names_unsound(self, sentence: str) -> bool:
        """Return True if a sentence names an unsound record, which is reported for the record."""
        return any(path.as_posix() in sentence for path in self.unsound)

    @cached_property
    def planned(self) -> dict[Path, Job]:
        """The finished records of planned jobs, by path."""
        return {p: job for p, job in self.finished.items() if p.parent in self.plan.jobs}

    @cached_property
    def readers(self) -> dict[Path, Job]:
        """The finished records of jobs that read all others, by path."""
        places = [self.results / stage for stage in READERS]
        return {p: job for p, job in self.finished.items() if p.parent in places}

    @cached_property
    def printed(self) -> set[str]:
        """Paths of the tables, figures and pages that these jobs made; no cell rests on them."""
        return {output["path"] for job in self.readers.values() for output in job.outputs}
