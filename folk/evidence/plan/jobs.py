"""Plan of a study: its jobs, their costs, and the sums."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from folk.evidence.plan.figures import Figure, total

# ASSUME: NVIDIA's maximum power of an A100 SXM. Hosts, networks and cooling are excluded, and a GPU
# that waits for images draws less.
WATTS_PER_GPU = 400.0


@dataclass(frozen=True)
class PlannedJob:
    """One job."""

    name: str  # stage, run and evaluation, or another name
    stage: str  # its stage, or rule
    needed: bool  # True if it must still run
    hours: Figure  # wall-clock hours
    gpus: int  # requested GPUs
    threads: int  # requested threads
    disk: Figure  # bytes of its results

    @property
    def gpu_hours(self) -> Figure:
        """GPU-hours."""
        return self.hours.times(float(self.gpus))

    @property
    def cpu_hours(self) -> Figure:
        """Thread-hours of a job without a GPU."""
        return self.hours.times(0.0 if self.gpus else float(self.threads))


@dataclass(frozen=True)
class Sum:
    """Sums over several jobs."""

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
        """Return all numbers with their bases."""
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
    """A study's jobs, in topological order."""

    study: str  # its name
    jobs: list[PlannedJob]  # all of them
    chain: list[PlannedJob]  # critical path of the jobs that must still run
    whole_chain: list[PlannedJob]  # critical path of all jobs
    watts: float  # assumed power of a busy GPU

    @cached_property
    def stages(self) -> list[str]:
        """The stages that have jobs, in running order."""
        return list(dict.fromkeys(job.stage for job in self.jobs))

    def all(self, stage: str | None = None) -> Sum:
        """Sum all jobs, finished ones included; of one stage, or of the study."""
        return self._sum(lambda job: stage in (None, job.stage))

    def to_do(self, stage: str | None = None) -> Sum:
        """Sum the jobs that must still run."""
        return self._sum(lambda job: job.needed and stage in (None, job.stage))

    def to_json(self) -> dict[str, Any]:
        """Return the whole plan, with single jobs only along the critical paths."""
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
    """Sum the hours of sequential jobs."""
    return total(job.hours for job in chain)


def _chain_json(chain: list[PlannedJob]) -> dict[str, Any]:
    return {
        "hours": hours_of_chain(chain).to_json(),
        "jobs": [{"name": job.name, "hours": job.hours.to_json()} for job in chain],
    }
