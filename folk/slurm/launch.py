"""The command line that starts a stage: one process, torchrun on a node, or torchrun on several.

Several nodes need two steps. The job's shell calls `srun`, which starts this launcher once on each
node; only there, inside the step, does SLURM tell which nodes there are, because Snakemake's plugin
removes those variables from the shell of a rule. Each of them then becomes torchrun. Nodes find one
another without a server of their own: the first node of the step, a port made of the job's id.
"""

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from folk.evidence.core.errors import InputError
from folk.slurm.geometry import Geometry

IN_STEP = "--in-step"
# Below the ports that Linux gives away by itself (32768 on), above the well-known ones.
FIRST_PORT, PORTS = 20000, 12000
TORCHRUN = ("-m", "torch.distributed.run")
Ask = Callable[[Sequence[str]], str | None]


def outside(geometry: Geometry, stage: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The argv that starts `stage`, from the shell of a job or of a person.

    Args:
        geometry: what to spread it over.
        stage: name and options of a stage, as after `python -m folk`.
        variables: the environment.

    Raises:
        InputError: several nodes without a SLURM job.
    """
    if geometry.world_size == 1:
        return [sys.executable, "-m", "folk", *stage]
    if geometry.nodes == 1:
        per_node = ["--standalone", "--nproc-per-node", str(geometry.processes)]
        return [sys.executable, *TORCHRUN, *per_node, "-m", "folk", *stage]
    if not variables.get("SLURM_JOB_ID"):
        raise InputError(
            f"--nodes {geometry.nodes}: several nodes need a SLURM job, and this is none (no "
            "SLURM_JOB_ID); run the study with --workflow-profile workflow/profiles/slurm, or set "
            "resources: {<stage>: {nodes: 1}} in it"
        )
    gpus = [f"--gpus-per-node={geometry.gpus}"] if geometry.gpus else []
    return [
        "srun",
        "--kill-on-bad-exit=1",  # without it the others wait for ever for one that died
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
    """The argv of one node's torchrun, from inside the step that `outside` starts.

    Args:
        geometry: what the job is spread over.
        stage: name and options of a stage.
        variables: the environment that srun gave this node.
        ask: runs a command of SLURM and gives what it prints; None if it fails.

    Raises:
        InputError: this is no such step, it has another number of nodes, or SLURM does not answer.
    """
    try:
        job, nodes, number = (
            variables[name] for name in ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NODEID")
        )
    except KeyError as missing:
        raise InputError(
            f"{IN_STEP}: {missing.args[0]} is not set; srun starts this, leave the option out"
        ) from missing
    ask = ask or _answer
    listed = ask(["scontrol", "show", "hostnames", nodes])
    names = (listed or "").split()
    if len(names) != geometry.nodes:
        said = "no answer" if listed is None else f"{len(names)} names"
        raise InputError(
            f"scontrol show hostnames {nodes}: {said}, expected {geometry.nodes} nodes; is "
            "scontrol installed on the nodes, and does it find slurm.conf?"
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
    """Where the processes of a job meet; jobs on one node at the same time have different ids."""
    return FIRST_PORT + int(job_id) % PORTS


def _address(node: str, ask: Ask) -> str:
    try:
        socket.getaddrinfo(node, None)
    except OSError:
        # SLURM may know a node by a name that is none: then by the address that it has itself.
        told = ask(["scontrol", "show", "node", node, "--oneliner"]) or ""
        found = re.search(r"\bNodeAddr=(\S+)", told)
        return found[1] if found else node
    return node


def _answer(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
