"""Deadline of a training, before its scheduler's time limit."""

import math
import os
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime

LONGEST_MARGIN, SHORTEST_MARGIN = 600.0, 30.0  # seconds
PATIENCE = 10.0  # seconds for squeue; without an answer the job's own limit counts


def seconds_allowed(minutes: int | None, variables: Mapping[str, str] | None = None) -> float:
    """Compute the seconds from now in which a training may make updates.

    A study may run inside an allocation that lasts longer than the limit of its jobs, so SLURM's
    end of the allocation counts where SLURM gives it.

    Returns:
        seconds, infinite outside a SLURM job, where no time limit applies. The limit less a margin
        for the job's work before the training and for saving: a tenth of the limit,
        at most ten minutes, at least half a minute, and never more than half of the limit.
    """
    variables = os.environ if variables is None else variables
    job = variables.get("SLURM_JOB_ID")
    if minutes is None or not job:
        return math.inf
    end = _end_of_allocation(job, variables)
    limit = 60.0 * minutes if end is None else max(0.0, end - time.time())
    margin = min(max(limit / 10, SHORTEST_MARGIN), LONGEST_MARGIN, limit / 2)
    return limit - margin


def _end_of_allocation(job: str, variables: Mapping[str, str]) -> float | None:
    """Return the time at which SLURM ends a job, in seconds since 1970, or None if unknown."""
    end = variables.get("SLURM_JOB_END_TIME", "")  # since SLURM 23.02
    if end.isdecimal():
        return float(end)
    asked = ["squeue", "--noheader", f"--jobs={job}", "--format=%e"]
    try:
        env = os.environ | {"SLURM_TIME_FORMAT": "standard"}
        done = subprocess.run(
            asked, capture_output=True, text=True, timeout=PATIENCE, env=env, check=True
        )
        return datetime.fromisoformat(done.stdout.split()[-1]).timestamp()
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None  # no squeue on the node, no answer, or "N/A" for a job without an end
