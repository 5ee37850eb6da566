"""When a training must have stopped by itself, so that its scheduler need not kill it."""

import math
import os
from collections.abc import Mapping

LONGEST_MARGIN, SHORTEST_MARGIN = 600.0, 30.0  # seconds


def seconds_allowed(minutes: int | None, variables: Mapping[str, str] | None = None) -> float:
    """How long from now on a training may make updates.

    Args:
        minutes: the time limit of its job; None is none.
        variables: the environment; that of this process when left out.

    Returns:
        seconds, infinite outside a SLURM job: nothing there ends a job for its time. The limit less
        a margin for what the job does before the training and for saving it: a tenth of the limit,
        at most ten minutes, at least half a minute, and never more than half of the limit.
    """
    variables = os.environ if variables is None else variables
    if minutes is None or not variables.get("SLURM_JOB_ID"):
        return math.inf
    limit = 60.0 * minutes
    margin = min(max(limit / 10, SHORTEST_MARGIN), LONGEST_MARGIN, limit / 2)
    return limit - margin
