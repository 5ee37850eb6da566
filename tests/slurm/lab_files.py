"""What the daemons of the test cluster read: one host that claims to be several nodes with GPUs."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

NODES = ("node1", "node2", "node3")
CPUS_OF_A_NODE = 4
MB_OF_A_NODE = 8000
GPUS_OF_A_NODE = 2

# Every client that a driver or a job calls, see `write_clients`.
CLIENTS = (
    "sbatch",
    "srun",
    "scancel",
    "scontrol",
    "squeue",
    "sinfo",
    "sacct",
    "sacctmgr",
    "sshare",
)


@dataclass(frozen=True)
class Ports:
    """TCP ports of one cluster, all on the address of this host."""

    controller: int
    nodes: tuple[int, ...]
    accounting: int
    database: int


@dataclass(frozen=True)
class Site:
    """Where one cluster lives and listens; `accounting` says whether it has slurmdbd."""

    folder: Path
    host: str
    address: str
    user: str
    ports: Ports
    accounting: bool

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.folder / "munge/socket"

    @property
    def clients(self) -> Path:
        return self.folder / "bin"


def write_site(site: Site) -> None:
    """Write all files of a cluster that has not been started."""
    for name in ("munge", "state", "spool", "log", "run", "gpu"):
        (site.folder / name).mkdir(parents=True, exist_ok=True)
    site.folder.chmod(0o755)  # munged refuses a socket that others cannot reach
    (site.folder / "munge").chmod(0o711)
    key = site.folder / "munge/key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    site.conf.write_text(slurm_conf(site), encoding="utf-8")
    write_gpus(site)
    write_clients(site)
    if site.accounting:
        write_accounting(site)


def slurm_conf(site: Site) -> str:
    """The configuration of controller, nodes and clients.

    Times are short: a killed job has 5 s, a requeued one waits 10 s (`cred_expire`), a silent node
    is down after 30 s. `MinJobAge` keeps ended jobs for squeue, all there is without accounting.
    """
    folder = site.folder
    lines = [
        "ClusterName=lab",
        f"SlurmctldHost={site.host}({site.address})",
        f"SlurmctldPort={site.ports.controller}",
        f"SlurmUser={site.user}",
        f"SlurmdUser={site.user}",
        "AuthType=auth/munge",
        "CredType=cred/munge",
        f"AuthInfo=socket={site.munge_socket},cred_expire=10",
        "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool/%n",
        f"SlurmctldPidFile={folder}/run/slurmctld.pid",
        f"SlurmdPidFile={folder}/run/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/log/slurmctld.log",
        f"SlurmdLogFile={folder}/log/slurmd-%n.log",
        # Without cgroups and without binding, so that it runs in containers too.
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SwitchType=switch/none",
        "MpiDefault=none",
        # The nodes claim more CPUs, memory and GPUs than the host has.
        "SlurmdParameters=config_overrides",
        "ReturnToService=2",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "DefMemPerCPU=500",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5,bf_window=1440",
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        "JobRequeue=1",
        "MinJobAge=300",
        "KillWait=5",
        "SlurmctldTimeout=30",
        "SlurmdTimeout=30",
        "JobAcctGatherType=jobacct_gather/linux",
        "GresTypes=gpu",
        *(
            accounting_lines(site)
            if site.accounting
            else ["AccountingStorageType=accounting_storage/none"]
        ),
    ]
    lines += [
        f"NodeName={node} NodeHostname={site.host} NodeAddr={site.address} Port={port}"
        f" CPUs={CPUS_OF_A_NODE} RealMemory={MB_OF_A_NODE} Gres=gpu:{GPUS_OF_A_NODE} State=UNKNOWN"
        for node, port in zip(NODES, site.ports.nodes, strict=True)
    ]
    partitions = {
        "main": "Default=YES PriorityTier=5 PreemptMode=OFF",
        "high": "PriorityTier=10 PreemptMode=OFF",
        "low": "PriorityTier=1 PreemptMode=REQUEUE",
        "lowcancel": "PriorityTier=1 PreemptMode=CANCEL",
    }
    lines += [
        f"PartitionName={name} Nodes={','.join(NODES)} {said}"
        " MaxTime=1-00:00:00 DefaultTime=10 State=UP"
        for name, said in partitions.items()
    ]
    return "\n".join(lines) + "\n"


def accounting_lines(site: Site) -> list[str]:
    """What slurm.conf says where a slurmdbd answers."""
    return [
        "AccountingStorageType=accounting_storage/slurmdbd",
        f"AccountingStorageHost={site.address}",
        f"AccountingStoragePort={site.ports.accounting}",
        # For munge this is a socket, and `AuthInfo` is not used towards slurmdbd.
        f"AccountingStoragePass={site.munge_socket}",
        "AccountingStorageTRES=gres/gpu",
        "AccountingStoreFlags=job_comment",
        # A job names an account that exists, as most sites have it.
        "AccountingStorageEnforce=associations",
    ]


def write_gpus(site: Site) -> None:
    """GPUs that are links to /dev/null; SLURM numbers them by the digits at the end."""
    lines = ["AutoDetect=off"]
    for node in NODES:
        for index in range(GPUS_OF_A_NODE):
            (site.folder / f"gpu/{node}-gpu{index}").symlink_to("/dev/null")
        files = f"{site.folder}/gpu/{node}-gpu[0-{GPUS_OF_A_NODE - 1}]"
        lines.append(f"NodeName={node} Name=gpu File={files}")
    (site.folder / "gres.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_clients(site: Site) -> None:
    """Clients that find this cluster by themselves.

    Inside a job Snakemake drops SLURM_CONF from the environment, and /etc/slurm is not ours.
    """
    site.clients.mkdir()
    for name in CLIENTS:
        real = shutil.which(name)
        file = site.clients / name
        file.write_text(f'#!/bin/sh\nSLURM_CONF={site.conf} exec {real} "$@"\n', encoding="utf-8")
        file.chmod(0o755)


def write_accounting(site: Site) -> None:
    """The files of slurmdbd and of the database behind it."""
    conf = site.folder / "slurmdbd.conf"
    conf.touch(mode=0o600)  # slurmdbd refuses a password that others can read
    lines = [
        "AuthType=auth/munge",
        f"AuthInfo=socket={site.munge_socket}",
        f"DbdHost={site.host}",
        f"DbdAddr={site.address}",
        f"DbdPort={site.ports.accounting}",
        f"SlurmUser={site.user}",
        "CommunicationParameters=NoInAddrAny",
        f"PidFile={site.folder}/run/slurmdbd.pid",
        f"LogFile={site.folder}/log/slurmdbd.log",
        "StorageType=accounting_storage/mysql",
        "StorageHost=127.0.0.1",
        f"StoragePort={site.ports.database}",
        "StorageUser=slurm",
        "StoragePass=slurm",
        "StorageLoc=slurm_acct_db",
    ]
    conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (site.folder / "init.sql").write_text(
        "CREATE DATABASE IF NOT EXISTS slurm_acct_db;\n"
        "CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';\n"
        "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';\n",
        encoding="utf-8",
    )
