"""GPUs of the machine at hand: which there are, and some of them for each job.

SLURM assigns GPUs itself; here a job takes free ones. A lock on a file for each GPU shows who has
it; the system releases it with the process, however that ends.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from folk.evidence.core.errors import InputError

VARIABLE = "CUDA_VISIBLE_DEVICES"
PATIENCE = 60.0  # seconds for nvidia-smi
PAUSE = 1.0  # seconds between two looks for free GPUs


def visible_gpus(variables: Mapping[str, str]) -> list[str]:
    """List the GPUs that a job may have, as CUDA_VISIBLE_DEVICES names them.

    Args:
        variables: the environment; the user's own CUDA_VISIBLE_DEVICES counts where it is set.
    """
    if VARIABLE in variables:
        names = [name.strip() for name in variables[VARIABLE].split(",")]
        # CUDA ignores what follows an invalid name, such as -1.
        valid = [bool(re.fullmatch(r"\d+|(?:GPU|MIG)-\S+", name)) for name in names]
        return names[: valid.index(False)] if False in valid else names
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return read_gpus(done.stdout)


def read_gpus(listed: str) -> list[str]:
    """Parse the output of `nvidia-smi -L`; parts of a divided GPU stand for it."""
    found: list[list[str]] = []
    for line in listed.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            found.append([gpu[1]])
        elif part := re.match(r"\s+MIG .*\(UUID: (MIG-\S+)\)", line):
            found[-1].append(part[1])
    return [name for gpu, *parts in found for name in parts or [gpu]]


def hold_gpus(count: int, variables: Mapping[str, str]) -> dict[str, str]:
    """Wait for free GPUs and hold them until this process ends, also after an `exec`.

    Jobs of all studies of this user share the locks.

    Returns:
        the variables that a job needs to see these GPUs alone; none inside a SLURM job.

    Raises:
        InputError: the machine has fewer GPUs.
    """
    if not count or variables.get("SLURM_JOB_ID"):
        return {}
    gpus = visible_gpus(variables)
    if len(gpus) < count:
        raise InputError(f"--gpus {count}: {has_only(gpus)}")
    folder = Path(tempfile.gettempdir(), f"folk-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    announced = False
    while True:
        with (folder / "all.lock").open("a") as every:
            fcntl.flock(every, fcntl.LOCK_EX)  # so that of two jobs none has half of what it needs
            held = _free(folder, gpus, count)
        if len(held) == count:
            for descriptor in held.values():
                os.set_inheritable(descriptor, True)
            return {VARIABLE: ",".join(held)}
        for descriptor in held.values():
            os.close(descriptor)
        if not announced:
            print(f"waiting for {count} of {len(gpus)} GPUs", file=sys.stderr, flush=True)
            announced = True
        time.sleep(PAUSE)


def has_only(gpus: list[str]) -> str:
    """Explain that a machine has too few GPUs."""
    return (
        f"this machine has {len(gpus) or 'no'} GPU{'s' * (len(gpus) != 1)}; lower the number, or "
        f"set {VARIABLE} if nvidia-smi does not list all"
    )


def _free(folder: Path, gpus: list[str], count: int) -> dict[str, int]:
    """Lock up to `count` free GPUs; return the descriptors of their locks."""
    held: dict[str, int] = {}
    for gpu in gpus:
        if len(held) < count:
            path = folder / f"{gpu.replace('/', '-')}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held[gpu] = descriptor
            except BlockingIOError:
                os.close(descriptor)
    return held
