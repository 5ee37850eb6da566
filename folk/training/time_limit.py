"""Deadline of a training, before its scheduler's time limit."""

import math
import os
from collections.abc import Mapping

LONGEST_MARGIN, SHORTEST_MARGIN = 600.0, 30.0  # seconds


def seconds_allowed(minutes: int | None, variables: Mapping[str, str] | None = None) -> float:
    """Compute the seconds from now in which a training may make updates.

    Args:
        minutes: time limit of its job, or None.
        variables: the environment; None takes that of this process.

    Returns:
        seconds, infinite outside a SLURM job, where no time limit applies. The limit less a margin
        for the job's work before the training and for saving: a tenth of the limit,
        at most ten minutes, at least half a minute, and never more than half of the limit.
    """
    variables = os.environ if variables is None else variables
    if minutes is None or not variables.get("SLURM_JOB_ID"):
        return math.inf
    limit = 60.0 * minutes
    margin = min(max(limit / 10, SHORTEST_MARGIN), LONGEST_MARGIN, limit / 2)
    return limit - margin
