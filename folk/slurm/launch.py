"""Command line that starts a stage: one process, torchrun on a node, or torchrun on several.

Several nodes need two steps. The job's shell calls `srun`, which starts this launcher once on each
node; the list of nodes is only known inside the step, because Snakemake's plugin removes those
variables from the shell of a rule. Each launcher then becomes torchrun. The rendezvous is the first
node of the step, with a port derived from the job's id.
"""

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from folk.evidence.core.errors import InputError
from folk.slurm.geometry import Geometry

IN_STEP = "--in-step"
# Below Linux's ephemeral ports (32768 on), above the well-known ones.
FIRST_PORT, PORTS = 20000, 12000
TORCHRUN = ("-m", "folk.training.torchrun")
Ask = Callable[[Sequence[str]], str | None]


def outside(geometry: Geometry, stage: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Make the argv that starts `stage`, from the shell of a job or of a user.

    Args:
        stage: name and options of a stage, as after `python -m folk`.

    Raises:
        InputError: several nodes without a SLURM job.
    """
    if geometry.world_size == 1:
        return [sys.executable, "-m", "folk", *stage]
    if geometry.nodes == 1:
        # The loopback address: one node needs no name that resolves.
        per_node = ["--standalone", "--local-addr", "127.0.0.1"]
        per_node += ["--nproc-per-node", str(geometry.processes)]
        return [sys.executable, *TORCHRUN, *per_node, "-m", "folk", *stage]
    if not variables.get("SLURM_JOB_ID"):
        raise InputError(
            f"--nodes {geometry.nodes}: several nodes need a SLURM job (SLURM_JOB_ID is not "
            "set); run the study with --workflow-profile workflow/profiles/slurm, or set "
            "resources: {<stage>: {nodes: 1}} in it"
        )
    gpus = [f"--gpus-per-node={geometry.gpus}"] if geometry.gpus else []
    return [
        "srun",
        "--kill-on-bad-exit=1",  # otherwise the others wait forever for one that died
        f"--nodes={geometry.nodes}",
        f"--ntasks={geometry.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={geometry.cores}",
        *gpus,
        sys.executable,
        *("-m", "folk", "launch", IN_STEP),
        *("--nodes", str(geometry.nodes), "--processes", str(geometry.processes)),
        *("--threads", str(geometry.threads), "--gpus", str(geometry.gpus), "--", *stage),
    ]


def in_step(
    geometry: Geometry,
    stage: Sequence[str],
    variables: Mapping[str, str],
    ask: Ask | None = None,
) -> list[str]:
    """Make the argv of one node's torchrun, inside the step that `outside` starts.

    Args:
        variables: the environment that srun gave this node.
        ask: runs a SLURM command and returns its output; None if it fails.

    Raises:
        InputError: not in such a step, another number of nodes, or no answer from SLURM.
    """
    try:
        job, nodes, number = (
            variables[name] for name in ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NODEID")
        )
    except KeyError as missing:
        raise InputError(
            f"{IN_STEP}: {missing.args[0]} is not set; only srun passes this option, remove it"
        ) from missing
    ask = ask or _answer
    listed = ask(["scontrol", "show", "hostnames", nodes])
    names = (listed or "").split()
    if len(names) != geometry.nodes:
        answer = "no answer" if listed is None else f"{len(names)} names"
        raise InputError(
            f"scontrol show hostnames {nodes}: expected {geometry.nodes} nodes, got {answer}; "
            "check that scontrol is installed on the nodes and finds slurm.conf"
        )
    return [
        sys.executable,
        *TORCHRUN,
        *("--nnodes", str(geometry.nodes), "--nproc-per-node", str(geometry.processes)),
        *("--node-rank", number),
        *("--master-addr", _address(names[0], ask), "--master-port", str(port(job))),
        *("-m", "folk", *stage),
    ]


def port(job_id: str) -> int:
    """Derive the rendezvous port from the job's id, so that jobs on one node differ."""
    return FIRST_PORT + int(job_id) % PORTS


def _address(node: str, ask: Ask) -> str:
    try:
        socket.getaddrinfo(node, None)
    except OSError:
        # A SLURM node name may not resolve: then use the address in SLURM's configuration.
        answer = ask(["scontrol", "show", "node", node, "--oneliner"]) or ""
        found = re.search(r"\bNodeAddr=(\S+)", answer)
        return found[1] if found else node
    return node


def _answer(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
