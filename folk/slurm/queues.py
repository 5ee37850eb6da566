"""What SLURM says of itself: partitions, accounts, and what it would say to a job."""

import getpass
import re
import subprocess
from dataclasses import dataclass

from folk.evidence.core.errors import InputError
from folk.slurm.ask import Ask
from folk.slurm.duration import parse_minutes, spell_minutes
from folk.slurm.site import GpuQueue, Site

PATIENCE = 60  # seconds; a busy controller takes a while
_FIELDS = "%P|%R|%a|%l|%s|%D|%c|%m|%G"


@dataclass(frozen=True)
class Nodes:
    """Nodes of one kind.

    Attributes:
        count: how many.
        cpus: of each.
        mem_mb: of each.
        gpus: of each, by model; the model is empty where SLURM names none.
    """

    count: int
    cpus: int
    mem_mb: int
    gpus: dict[str, int]

    def gpus_of(self, model: str | None) -> int:
        """GPUs of each node that are of this model, of any where None."""
        if model is None:
            return sum(self.gpus.values())
        return self.gpus.get(model.lower(), 0)

    def fit(self, ask: Ask, model: str | None) -> bool:
        """Whether one of these nodes has what a job asks of each node."""
        enough = self.cpus >= ask.cpus and self.mem_mb >= ask.mem_mb
        return enough and self.gpus_of(model) >= ask.gpus


@dataclass(frozen=True)
class Partition:
    """A partition.

    Attributes:
        name: its name.
        default: whether jobs that name none go there.
        up: whether it starts jobs.
        longest: minutes that a job may take, or None.
        most_nodes: that a job may have, or None.
        nodes: its nodes, kind by kind.
    """

    name: str
    default: bool
    up: bool
    longest: int | None
    most_nodes: int | None
    nodes: tuple[Nodes, ...]


@dataclass(frozen=True)
class Slurm:
    """What SLURM says of itself to this user.

    Attributes:
        partitions: by name.
        accounts: that the user may name; None where SLURM keeps none or does not tell.
        account_needed: whether a job without an account, the user's default included, is refused.
    """

    partitions: dict[str, Partition]
    accounts: frozenset[str] | None
    account_needed: bool

    @property
    def default_partition(self) -> Partition | None:
        """Where jobs go that name no partition."""
        return next((found for found in self.partitions.values() if found.default), None)


def ask_slurm() -> Slurm:
    """Ask sinfo, sacctmgr and scontrol.

    Raises:
        InputError: there is no SLURM here, or its controller does not answer.
    """
    try:
        partitions = read_partitions(
            _said("sinfo", "--all", "--noheader", "--exact", "-o", _FIELDS)
        )
    except FileNotFoundError:
        raise InputError(
            "sinfo: no such command here; start snakemake on a machine that can submit to SLURM"
        ) from None
    except (subprocess.SubprocessError, OSError) as error:
        raise InputError(f"sinfo: SLURM does not answer: {_why(error)}") from error
    user = getpass.getuser()
    accounts = _words("sacctmgr", "-nP", "list", "assoc", f"user={user}", "format=account")
    own = _words("sacctmgr", "-nP", "list", "user", user, "format=defaultaccount")
    return Slurm(partitions, accounts, _accounts_are_enforced() and not own)


def read_partitions(text: str) -> dict[str, Partition]:
    """Read what `sinfo --exact -o '%P|%R|%a|%l|%s|%D|%c|%m|%G'` says, a line for nodes of a kind.

    Raises:
        InputError: it says something else.
    """
    found: dict[str, Partition] = {}
    for line in text.splitlines():
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
            raise InputError(f"sinfo: '{line}' is not what SLURM 22 to 25 prints") from error
        before = found[name].nodes if name in found else ()
        found[name] = Partition(**{**vars(partition), "nodes": (*before, nodes)})
    return found


def read_gpus(gres: str) -> dict[str, int]:
    """Read `gpu:a100:4(S:0-1),gpu:2` as the GPUs of a node by model."""
    gpus: dict[str, int] = {}
    for model, count in re.findall(r"(?:^|,)gpu(?::([^:,(]*[^\d:,(][^:,(]*))?(?::(\d+))?", gres):
        gpus[model.lower()] = gpus.get(model.lower(), 0) + int(count or 1)
    return gpus


def refusal(site: Site, ask: Ask) -> str | None:
    """What SLURM has against a job, or None; `sbatch --test-only` submits nothing.

    Full queues and limits of the moment count too, so this is a word to the user, no verdict.
    """
    try:
        _said("sbatch", "--test-only", *sbatch_options(site, ask), "--wrap=true")
    except (subprocess.SubprocessError, OSError) as error:
        return _why(error)
    return None


def sbatch_options(site: Site, ask: Ask) -> list[str]:
    """The options that say to sbatch what snakemake's executor will say of such a job."""
    queue = site.queue(ask)
    model = f"{queue.gpu_model}:" if isinstance(queue, GpuQueue) and queue.gpu_model else ""
    said = {
        "account": site.account,
        "partition": queue.partition,
        "qos": queue.qos,
        "constraint": queue.constraint,
        "time": spell_minutes(site.runtime(ask)),
        "nodes": ask.nodes,
        "ntasks": ask.nodes,
        "cpus-per-task": ask.cpus,
        "mem": f"{ask.mem_mb}M",
        "gpus": f"{model}{ask.nodes * ask.gpus}" if ask.gpus else None,
    }
    return [f"--{name}={value}" for name, value in said.items() if value] + queue.extra.split()


def _accounts_are_enforced() -> bool:
    try:
        said = _said("scontrol", "show", "config")
    except (subprocess.SubprocessError, OSError):
        return False
    found = re.search(r"^AccountingStorageEnforce\s*=\s*(.*)$", said, re.MULTILINE)
    return found is not None and "associations" in found.group(1)


def _words(*command: str) -> frozenset[str] | None:
    """The lines that a command prints; None when it fails or prints nothing."""
    try:
        lines = _said(*command).splitlines()
    except (subprocess.SubprocessError, OSError):
        return None  # no accounting, or users may not ask: then SLURM judges itself
    return frozenset(line.strip() for line in lines if line.strip()) or None


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout


def _why(error: Exception) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    return " ".join((said or str(error)).split())
