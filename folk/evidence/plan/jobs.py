"""A plan: the jobs of a study, what each will take, and what they come to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from folk.evidence.plan.figures import Figure, total

# ASSUME: what NVIDIA states as the largest power of an A100 SXM. Hosts, networks and cooling are
# not in it, and a GPU that waits for images draws less.
WATTS_PER_GPU = 400.0


@dataclass(frozen=True)
class PlannedJob:
    """One job.

    Attributes:
        name: stage, run and evaluation, or what else it is called.
        stage: its stage, or rule.
        needed: whether it is still to be done.
        hours: from its start to its end.
        gpus: that it asks for.
        threads: that it asks for.
        disk: bytes of its results.
    """

    name: str
    stage: str
    needed: bool
    hours: Figure
    gpus: int
    threads: int
    disk: Figure

    @property
    def gpu_hours(self) -> Figure:
        """Hours of all its GPUs together."""
        return self.hours.times(float(self.gpus))

    @property
    def cpu_hours(self) -> Figure:
        """Hours of all its threads together, for a job without a GPU."""
        return self.hours.times(0.0 if self.gpus else float(self.threads))


@dataclass(frozen=True)
class Sum:
    """What several jobs come to."""

    jobs: int
    gpu_hours: Figure
    cpu_hours: Figure
    longest_job: Figure  # hours
    disk: Figure  # bytes
    watts: float  # of a GPU

    @property
    def energy(self) -> Figure:
        """Kilowatt hours of the GPUs alone; an assumption times hours, never a measurement."""
        return self.gpu_hours.times(self.watts / 1000.0)

    def to_json(self) -> dict[str, Any]:
        """All numbers, each with what it rests on."""
        return {
            "jobs": self.jobs,
            "gpu_hours": self.gpu_hours.to_json(),
            "cpu_hours": self.cpu_hours.to_json(),
            "longest_job_hours": self.longest_job.to_json(),
            "disk_bytes": self.disk.to_json(),
            "energy_kwh_assumed": self.energy.to_json(),
        }


@dataclass(frozen=True)
class Plan:
    """A study's jobs, in an order in which they could run.

    Attributes:
        study: its name.
        jobs: all of them.
        chain: those still to be done that take longest one after the other.
        whole_chain: the same when nothing is done yet.
        watts: assumed of a GPU at work.
    """

    study: str
    jobs: list[PlannedJob]
    chain: list[PlannedJob]
    whole_chain: list[PlannedJob]
    watts: float

    @cached_property
    def stages(self) -> list[str]:
        """The stages that have jobs, in running order."""
        return list(dict.fromkeys(job.stage for job in self.jobs))

    def all(self, stage: str | None = None) -> Sum:
        """What all jobs come to, finished ones too; of one stage, or of the study."""
        return self._sum(lambda job: stage in (None, job.stage))

    def to_do(self, stage: str | None = None) -> Sum:
        """What the jobs that are still to be done come to."""
        return self._sum(lambda job: job.needed and stage in (None, job.stage))

    def to_json(self) -> dict[str, Any]:
        """The whole plan, job by job only along the longest chains."""
        return {
            "study": self.study,
            "stages": {
                stage: {"all": self.all(stage).to_json(), "to_do": self.to_do(stage).to_json()}
                for stage in self.stages
            },
            "total": {"all": self.all().to_json(), "to_do": self.to_do().to_json()},
            "longest_chain": {
                "all": _chain_json(self.whole_chain),
                "to_do": _chain_json(self.chain),
            },
            "assumed_watts_per_gpu": self.watts,
        }

    def _sum(self, counts: Callable[[PlannedJob], bool]) -> Sum:
        jobs = [job for job in self.jobs if counts(job)]
        longest = max((job.hours for job in jobs), key=lambda f: f.value, default=Figure())
        return Sum(
            jobs=len(jobs),
            gpu_hours=total(job.gpu_hours for job in jobs),
            cpu_hours=total(job.cpu_hours for job in jobs),
            longest_job=longest,
            disk=total(job.disk for job in jobs),
            watts=self.watts,
        )


def hours_of_chain(chain: Iterable[PlannedJob]) -> Figure:
    """How long jobs take that run one after the other."""
    return total(job.hours for job in chain)


def _chain_json(chain: list[PlannedJob]) -> dict[str, Any]:
    return {
        "hours": hours_of_chain(chain).to_json(),
        "jobs": [{"name": job.name, "hours": job.hours.to_json()} for job in chain],
    }
