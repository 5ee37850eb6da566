"""Queries of SLURM's partitions and accounts, and test submissions."""

import getpass
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from folk.evidence.core.errors import InputError
from folk.slurm.ask import Ask
from folk.slurm.duration import parse_minutes, spell_minutes
from folk.slurm.site import GpuQueue, Site, gres_of

PATIENCE = 60  # seconds; a busy controller is slow
_FIELDS = "%P|%R|%a|%l|%s|%D|%c|%m|%G"


@dataclass(frozen=True)
class Nodes:
    """Nodes of one kind."""

    count: int
    cpus: int  # of each
    mem_mb: int  # of each
    gpus: dict[str, int]  # of each, by model; an empty model if SLURM has none

    def gpus_of(self, model: str | None) -> int:
        """Count the GPUs of each node of this model, or of any if None."""
        if model is None:
            return sum(self.gpus.values())
        return self.gpus.get(model.lower(), 0)

    def fit(self, ask: Ask, model: str | None) -> bool:
        """Return True if one of these nodes has the resources that a job needs per node."""
        enough = self.cpus >= ask.cpus and self.mem_mb >= ask.mem_mb
        return enough and self.gpus_of(model) >= ask.gpus


@dataclass(frozen=True)
class Partition:
    """A partition."""

    name: str
    default: bool
    up: bool  # True if it starts jobs
    longest: int | None  # time limit in minutes, or None
    most_nodes: int | None  # maximum nodes of a job, or None
    nodes: tuple[Nodes, ...]  # kind by kind


@dataclass(frozen=True)
class Slurm:
    """SLURM's partitions and accounts for this user."""

    partitions: dict[str, Partition]  # by name
    accounts: frozenset[str] | None  # accounts of the user; None without accounting or permission
    account_needed: bool  # True if a job needs an account and the user has no default one

    @property
    def default_partition(self) -> Partition | None:
        """The default partition, if any."""
        return next((found for found in self.partitions.values() if found.default), None)


def ask_slurm() -> Slurm:
    """Query sinfo, sacctmgr and scontrol.

    Raises:
        InputError: SLURM is not installed, or its controller does not answer.
    """
    try:
        partitions = read_partitions(
            _output("sinfo", "--all", "--noheader", "--exact", "-o", _FIELDS)
        )
    except FileNotFoundError:
        raise InputError(
            "sinfo: no such command; start snakemake on a machine that can submit to SLURM"
        ) from None
    except (subprocess.SubprocessError, OSError) as error:
        raise InputError(f"sinfo: SLURM does not answer: {_why(error)}") from error
    user = getpass.getuser()
    accounts = _words("sacctmgr", "-nP", "list", "assoc", f"user={user}", "format=account")
    own = _words("sacctmgr", "-nP", "list", "user", user, "format=defaultaccount")
    return Slurm(partitions, accounts, _accounts_are_enforced() and not own)


def read_partitions(text: str) -> dict[str, Partition]:
    """Parse the output of `sinfo --exact -o '%P|%R|%a|%l|%s|%D|%c|%m|%G'`, a line per kind of node.

    Raises:
        InputError: the output has another form.
    """
    found: dict[str, Partition] = {}
    for line in one_cluster(text):
        try:
            starred, name, state, longest, size, count, cpus, memory, gres = line.split("|")
            nodes = Nodes(int(count), int(cpus), int(memory), read_gpus(gres))
            most = size.rpartition("-")[2]
            partition = Partition(
                name=name,
                default=starred.endswith("*"),
                up=state == "up",
                longest=parse_minutes(longest),
                most_nodes=int(most) if most.isdecimal() else None,
                nodes=(nodes,),
            )
        except ValueError as error:
            raise InputError(
                f"sinfo: unknown output '{line}'; SLURM 22 to 25 are supported"
            ) from error
        before = found[name].nodes if name in found else ()
        found[name] = Partition(**{**vars(partition), "nodes": (*before, nodes)})
    return found


def one_cluster(text: str) -> list[str]:
    """Return the lines of a SLURM command without headings and empty lines.

    With SLURM_CLUSTERS set, the commands print `CLUSTER: name` before the lines of each cluster.

    Raises:
        InputError: lines of several clusters.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    clusters = {line.partition(":")[2].strip() for line in lines if line.startswith("CLUSTER:")}
    if len(clusters) > 1:
        raise InputError(
            f"SLURM_CLUSTERS: {', '.join(sorted(clusters))}; a study runs on one cluster; set it "
            "to one of them"
        )
    return [line for line in lines if not line.startswith("CLUSTER:")]


def read_gpus(gres: str) -> dict[str, int]:
    """Parse `gpu:a100:4(S:0-1),gpu:2` to the GPUs of a node by model."""
    gpus: dict[str, int] = {}
    for model, count in re.findall(r"(?:^|,)gpu(?::([^:,(]*[^\d:,(][^:,(]*))?(?::(\d+))?", gres):
        gpus[model.lower()] = gpus.get(model.lower(), 0) + int(count or 1)
    return gpus


def refusal(site: Site, ask: Ask) -> str | None:
    """Return SLURM's objection to a job, or None; `sbatch --test-only` submits nothing.

    Full queues and current limits count too, so this is only a hint.
    """
    try:
        _output("sbatch", "--test-only", *sbatch_options(site, ask), "--wrap=true")
    except (subprocess.SubprocessError, OSError) as error:
        return _why(error)
    return None


def sbatch_options(site: Site, ask: Ask) -> list[str]:
    """Make the sbatch options that snakemake's executor would use for such a job."""
    queue = site.queue(ask)
    model = f"{queue.gpu_model}:" if isinstance(queue, GpuQueue) and queue.gpu_model else ""
    gres = gres_of(queue, ask)
    options = {
        "account": site.account,
        "partition": queue.partition,
        "qos": queue.qos,
        "constraint": queue.constraint,
        "time": spell_minutes(site.runtime(ask)),
        "nodes": ask.nodes,
        "ntasks": ask.nodes,
        "cpus-per-task": ask.cpus,
        "mem": f"{ask.mem_mb}M",
        "gpus": f"{model}{ask.nodes * ask.gpus}" if ask.gpus and gres is None else None,
        "gres": gres,
    }
    return [f"--{name}={value}" for name, value in options.items() if value] + queue.extra.split()


def _accounts_are_enforced() -> bool:
    try:
        config = _output("scontrol", "show", "config")
    except (subprocess.SubprocessError, OSError):
        return False
    found = re.search(r"^AccountingStorageEnforce\s*=\s*(.*)$", config, re.MULTILINE)
    return found is not None and "associations" in found.group(1)


def _words(*command: str) -> frozenset[str] | None:
    """Return the lines that a command prints; None if it fails or prints nothing."""
    try:
        lines = _output(*command).splitlines()
    except (subprocess.SubprocessError, OSError):
        return None  # no accounting, or no permission: leave the check to SLURM
    return frozenset(line.strip() for line in lines if line.strip()) or None


def without_filters(variables: Mapping[str, str]) -> dict[str, str]:
    """Drop the user's own choice of columns and rows, such as SQUEUE_PARTITION.

    Those of sbatch stay: a site may set them for all its users.
    """
    own = ("SQUEUE_", "SINFO_", "SACCT_", "SLURM_TIME_FORMAT")
    return {name: value for name, value in variables.items() if not name.startswith(own)}


def _output(*command: str) -> str:
    env = without_filters(os.environ)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=env, check=True
    )
    return done.stdout


def _why(error: Exception) -> str:
    message = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    return " ".join((message or str(error)).split())
