"""Site file: account, partitions and limits of one cluster, written once by its user."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from folk.evidence.core.yaml_model import Document, Section, checked
from folk.slurm.ask import Ask
from folk.slurm.duration import parse_minutes

SITE_FILE = Path("config/cluster.yaml")
EXAMPLE = Path("config/cluster.example.yaml")

# Options of snakemake's executor; it rejects a job whose extra options have one of these.
_MANAGED = re.compile(
    r"(?:^|\s)(--(?:account|partition|qos|constraint|time|mem|mem-per-cpu|nodes|ntasks|ntasks-per-gpu"
    r"|cpus-per-task|cpus-per-gpu|gres|gpus|clusters|job-name|output|error|parsable|export|comment"
    r"|workdir)(?=[=\s]|$)|-[ApCtNncJoeDM])"
)


def _minutes(value: Any) -> Any:
    return parse_minutes(value) if isinstance(value, str) else value


Minutes = Annotated[int, Field(ge=1), BeforeValidator(_minutes)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,@+-]+$")]


class Queue(Section):
    """Queue of jobs without a GPU; missing keys are SLURM's defaults."""

    partition: Word | None = None
    qos: Word | None = None
    constraint: Annotated[str, Field(min_length=1)] | None = None
    longest_runtime: Minutes | None = None
    extra: str = ""  # further options of sbatch, such as --mail-type=FAIL

    @field_validator("extra")
    @classmethod
    def _leaves_out_what_is_managed(cls, value: str) -> str:
        found = _MANAGED.search(value)
        if found is not None:
            raise ValueError(
                f"{found[1]} comes from the keys of this file or from 'resources' of the study"
            )
        return value


class GpuQueue(Queue):
    """Queue of jobs with GPUs."""

    gpu_model: str | None = None  # as sinfo names it: a100, h100
    gres: bool = False  # True: request GPUs with --gres, for sites that know no --gpus

    @field_validator("gpu_model")
    @classmethod
    def _can_be_submitted(cls, value: str | None) -> str | None:
        # What snakemake's executor takes; it fails the job on any other name.
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_.]+", value):
            raise ValueError(
                f"'{value}': snakemake's SLURM executor takes letters, digits, '_' and '.' only; "
                "leave it out, and choose the nodes with partition or constraint"
            )
        return value


class Site(Section):
    """A site file. `account` is absent if the site has none."""

    account: Word | None = None
    cpu: Queue = Queue()
    gpu: GpuQueue = GpuQueue()

    def queue(self, ask: Ask) -> Queue | GpuQueue:
        """Return the queue of a job."""
        return self.gpu if ask.gpus else self.cpu

    def runtime(self, ask: Ask) -> int:
        """Minutes to request from SLURM.

        A training that needs more minutes than the limit gets the limit: it stops in time and
        continues in another job. Any other job requests what it needs.
        """
        longest = self.queue(ask).longest_runtime
        return min(ask.runtime, longest) if longest and ask.continues else ask.runtime

    def resources(self, ask: Ask) -> dict[str, str | int]:
        """Make the resources of a job under the names of snakemake's SLURM executor."""
        queue = self.queue(ask)
        options = {
            "slurm_account": self.account,
            "slurm_partition": queue.partition,
            "qos": queue.qos,
            "constraint": queue.constraint,
            "gpu_model": queue.gpu_model if isinstance(queue, GpuQueue) else None,
            "slurm_extra": queue.extra or None,
        }
        given: dict[str, str | int] = {key: value for key, value in options.items() if value}
        if gres := gres_of(queue, ask):
            # The executor takes either `gpu` or `gres`; a gres counts for each node.
            given.pop("gpu_model", None)
            given |= {"gres": gres, "gpu": 0}
        if self.runtime(ask) != ask.runtime:
            given["runtime"] = self.runtime(ask)
        return given


def gres_of(queue: Queue, ask: Ask) -> str | None:
    """Make the value of `--gres`, or None for a queue without it.

    It has the GPUs of each node, and their model if it is given.
    """
    if not isinstance(queue, GpuQueue) or not queue.gres or not ask.gpus:
        return None
    return ":".join(["gpu", *filter(None, [queue.gpu_model]), str(ask.gpus)])


@dataclass(frozen=True)
class SiteFile:
    """A site and the location of its keys."""

    site: Site  # the file's content; SLURM's defaults without a file
    document: Document | None  # the file, or None

    def where(self, *keys: str) -> str:
        """Return `file:line: key`, the beginning of a message about this key."""
        if self.document is None:
            return f"{SITE_FILE}: {'.'.join(keys)}"
        return self.document.at(*keys)


def load_site(path: Path = SITE_FILE) -> SiteFile:
    """Read and check a site file; no file means SLURM's defaults.

    Raises:
        InputError: one line for each problem, with file, line and key.
    """
    if not path.is_file():
        return SiteFile(Site(), None)
    document = Document(path)
    return SiteFile(checked(Site, document.values, document), document)
