"""Environment of a job: commit, package versions, machine and scheduler, without torch.

Nothing here fails: unknown values are None, because a record with a gap is better than no record.
Environment variables enter by an allow-list only, so that no secret is stored.
"""

import hashlib
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from folk.evidence.core.digest import digest_file
from folk.evidence.core.errors import InputError
from folk.evidence.core.secrets import without_secrets
from folk.evidence.core.shipped import IS_WHEEL

PACKAGES = (
    "numpy", "pillow", "pyarrow", "safetensors", "scikit-image", "scikit-learn", "scipy",
    "segmentation-models-pytorch", "snakemake", "timm", "torch", "torchvision",
)  # fmt: skip
ALLOWED_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "LOCAL_WORLD_SIZE",
    "MKL_NUM_THREADS", "NCCL_ALGO", "NCCL_PROTO", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS",
    "PYTHONHASHSEED", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "WORLD_SIZE",
)  # fmt: skip
SCHEDULER_VARIABLES = {
    "job_id": "SLURM_JOB_ID",
    "job_name": "SLURM_JOB_NAME",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_task_id": "SLURM_ARRAY_TASK_ID",
    "node": "SLURMD_NODENAME",
    "node_list": "SLURM_JOB_NODELIST",
    "partition": "SLURM_JOB_PARTITION",
    "cluster": "SLURM_CLUSTER_NAME",
    "restart_count": "SLURM_RESTART_COUNT",
}
# Snakemake's plugin removes most of these from the environment of a rule; SLURM still has them.
SCHEDULER_ANSWERS = {
    "job_name": "JobName",
    "node_list": "NodeList",
    "partition": "Partition",
    "restart_count": "Restarts",
    "time_limit": "TimeLimit",
}
# All that may reach git: others, such as GIT_DIR in a hook, make it read another repository, or
# change the text of a difference.
GIT_VARIABLES = (
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_TEST_",
)
# Vector instructions that torch's kernels are made for, and what of the processor they need.
CPU_CAPABILITIES = {
    "AVX512": {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"},
    "AVX2": {"avx2", "fma"},
}
SECONDS_TO_ANSWER = 20.0  # an unreachable scheduler must not delay a job
DIFF_CAP_BYTES = 1_000_000
LARGE_FILE_BYTES = 16_000_000
# Written by the workflow itself: they differ from the last commit because jobs ran, not because of
# edits. DVC's remote does not determine a result either, and may contain its password.
PRODUCTS = (":(top,exclude)results", ":(top,exclude)dvc.lock", ":(top,exclude).dvc/config*")


def code_state(root: Path) -> tuple[dict[str, Any], str | None]:
    """Read the commit of the working tree and its uncommitted changes.

    Returns:
        `{"commit", "dirty", "dirty_diff_sha256"}`, each None outside a repository and where the
        package is installed from a wheel (`commit` alone is None before the first one, `dirty` if
        git cannot compare), and the text of the differences to keep with the record, None without
        any. If git cannot read the repository, a line on standard error has the reason. The digest
        is that of the whole text; the text itself is truncated at 1 MB. Bytes that are not UTF-8
        are surrogates in it. New files that git does not ignore count by name and digest. Results
        and dvc.lock do not count: the workflow writes them.
    """
    unknown = {"commit": None, "dirty": None, "dirty_diff_sha256": None}
    if IS_WHEEL:
        return unknown, None  # git would name the repository that the environment lies in
    if _git(root, "rev-parse", "--is-inside-work-tree") != b"true\n":
        if any((folder / ".git").exists() for folder in (root.resolve(), *root.resolve().parents)):
            print(f"{root.resolve()}: {_git_problem(root)}; no commit is recorded", file=sys.stderr)
        return unknown, None
    head = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    commit = head.decode().strip() if head else None
    options = ("--no-ext-diff", "--no-color", "--no-textconv", "--binary")
    changes = _git(root, "diff", *options, "HEAD", "--", ":(top)", *PRODUCTS)
    new = _new_files(root)
    if new is None or (changes is None and commit is not None):
        return unknown | {"commit": commit}, None
    # Before hashing: it is kept with the record, and may be shared with it.
    diff = without_secrets(((changes or b"") + new).decode("utf-8", "surrogateescape")).encode(
        "utf-8", "surrogateescape"
    )
    if commit is not None and not diff:
        return {"commit": commit, "dirty": False, "dirty_diff_sha256": None}, None
    digest = hashlib.sha256(diff).hexdigest()
    text = diff[:DIFF_CAP_BYTES].decode("utf-8", "surrogateescape")
    if len(diff) > DIFF_CAP_BYTES:
        text += f"\n[cut here: {len(diff)} bytes in all, sha256 {digest}]\n"
    return {"commit": commit, "dirty": True, "dirty_diff_sha256": digest}, text


def code_moved_since(root: Path, commit: str) -> list[str] | None:
    """List the files that differ between `commit` and HEAD; None if git does not have it.

    Results and dvc.lock do not count, as in `code_state`. Uncommitted changes are ignored.
    """
    options = ("--no-ext-diff", "--name-only", "--end-of-options", commit, "HEAD")
    listed = _git(root, "diff", *options, "--", ":(top)", *PRODUCTS)
    return None if listed is None else os.fsdecode(listed).splitlines()


def file_of_commit(root: Path, commit: str, path: Path) -> bytes | None:
    """Read a file, relative to `root`, from a commit; None if git does not have it there."""
    return _git(root, "show", "--end-of-options", f"{commit}:./{path.as_posix()}")


def environment(root: Path) -> dict[str, Any]:
    """Collect Python, package versions, digest of the lock in `root`, and allowed variables."""
    lock = root / "requirements.lock"
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "lock_sha256": digest_file(lock).sha256 if lock.is_file() else None,
        "platform": platform.platform(),
        "variables": {name: os.environ[name] for name in ALLOWED_VARIABLES if name in os.environ},
    }


def hardware() -> dict[str, Any]:
    """Collect host name, processor, usable cores, memory in bytes, names of the GPUs.

    `cpu_capability` names the vector instructions that torch's kernels are chosen by, such as AVX2:
    other ones round differently.
    """
    return {
        "host": socket.gethostname(),
        "cpu": processor(),
        "cpu_capability": _cpu_capability(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "gpus": _gpus(),
    }


def processor() -> str | None:
    """Read the name of the processor."""
    return _cpu_info("model name") or platform.processor() or None


def scheduler() -> dict[str, str | None] | None:
    """Read the SLURM job's variables, or None outside a job."""
    job_id = os.environ.get("SLURM_JOB_ID")
    if not job_id:
        return None
    answer = _scontrol(job_id)
    found: dict[str, str | None] = {"kind": "slurm"}
    found |= {key: os.environ.get(name) for key, name in SCHEDULER_VARIABLES.items()}
    # Inside a step the variables describe the step: its name is that of a program.
    return found | {
        key: answer.get(name, found.get(key)) for key, name in SCHEDULER_ANSWERS.items()
    }


def geometry(threads: int) -> dict[str, Any]:
    """Read nodes and processes of a job from torchrun's and SLURM's variables.

    Returns:
        `nodes`, `processes` of each node, `world_size`, `threads` of each process, and the names of
        the nodes in `node_list`, starting with the one that writes the record.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    step = os.environ.get("SLURM_STEP_NODELIST")
    names = _output(["scontrol", "show", "hostnames", step], SECONDS_TO_ANSWER) if step else None
    return {
        "nodes": world // processes,
        "processes": processes,
        "world_size": world,
        "threads": threads,
        "node_list": (names or b"").decode().split() or [step or socket.gethostname()],
    }


def ended_as(job_id: str | None) -> str | None:
    """Read SLURM's end state of an earlier job, such as PREEMPTED; None if unknown.

    A job with this job's id was requeued: REQUEUED.
    """
    if not job_id:
        return None
    if job_id == os.environ.get("SLURM_JOB_ID"):
        return "REQUEUED"
    state = _scontrol(job_id).get("JobState")
    if state is None:  # the controller forgets it after some minutes; accounting keeps it
        command = ["sacct", "-X", "-n", "-P", "-o", "State", "-j", job_id]
        answer = (_output(command, SECONDS_TO_ANSWER) or b"").decode(errors="replace").split()
        state = answer[0] if answer else None  # the first word of "CANCELLED by 1000"
    return None if state in (None, "RUNNING", "COMPLETING", "PENDING") else state


def _scontrol(job_id: str) -> dict[str, str]:
    command = ["scontrol", "show", "job", job_id, "--oneliner"]
    answer = (_output(command, SECONDS_TO_ANSWER) or b"").decode(errors="replace")
    return dict(re.findall(r"(?:^|\s)(\w+)=(\S+)", answer))


def _new_files(root: Path) -> bytes | None:
    top = _git(root, "rev-parse", "--show-toplevel")
    folder = Path(os.fsdecode(top.rstrip(b"\n"))) if top else root
    listing = ("ls-files", "--others", "--exclude-standard", "-z", "--", ":(top)", *PRODUCTS)
    names = _git(folder, *listing)
    if names is None:
        return None
    lines = []
    for name in filter(None, names.split(b"\0")):
        path = folder / os.fsdecode(name)
        try:
            size = path.stat().st_size
            # A data set in the tree must not be read at the start of every job.
            digest = "not read" if size > LARGE_FILE_BYTES else digest_file(path).sha256
        except (OSError, InputError):
            continue  # deleted, or a nested repository
        lines.append(b"new file %s %d bytes sha256 %s\n" % (name, size, digest.encode()))
    return b"".join(sorted(lines))


def _git_problem(root: Path) -> str:
    """Return why git cannot read an existing repository."""
    command, env = ["git", "-C", str(root), "rev-parse", "HEAD"], _git_environment()
    try:
        done = subprocess.run(command, capture_output=True, timeout=60.0, env=env, check=False)
    except (OSError, subprocess.SubprocessError):
        return "git cannot be called"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "git gives no reason"


def _git(root: Path, *arguments: str) -> bytes | None:
    return _output(["git", "-C", str(root), *arguments], env=_git_environment())


def _git_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(GIT_VARIABLES)
    }
    # Many jobs may run git at once, and none may touch the index.
    return kept | {"GIT_OPTIONAL_LOCKS": "0"}


def _output(
    command: list[str], timeout: float = 60.0, env: Mapping[str, str] | None = None
) -> bytes | None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, env=env, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_info(key: str) -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return None


def _cpu_capability() -> str | None:
    """Return the set of kernels that torch takes; None on another processor than x86.

    Source: torch 2.15, aten/src/ATen/native/DispatchStub.cpp, compute_cpu_capability.
    """
    names = {name.lower(): name for name in ("DEFAULT", *CPU_CAPABILITIES)}
    wanted = names.get(os.environ.get("ATEN_CPU_CAPABILITY", ""))  # torch ignores capitals
    if wanted is not None:
        return wanted
    flags = _cpu_info("flags")
    if flags is None:
        return None
    here = set(flags.split())
    return next((name for name, needs in CPU_CAPABILITIES.items() if needs <= here), "DEFAULT")


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _gpus() -> list[str]:
    listed = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or b""
    return [line.strip() for line in listed.decode(errors="replace").splitlines() if line.strip()]
