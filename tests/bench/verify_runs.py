"""`verify` of studies of more and more runs: the time must grow as they do."""

import contextlib
import tempfile
import time

from tests.audit.many_runs import audit, fill
from tests.bench.measure import Row

RUNS = (100, 300, 1000)
SEEDS = 5
IMAGES = 1000  # of each run's evaluation
SLACK = 1.2  # of what a run costs among 1,000, against a run among fewer


def rows() -> list[Row]:
    """Seconds of each study, and those of the largest against those of the others, per run."""
    took = {runs: _verified(runs) for runs in RUNS}
    largest = max(RUNS)
    return [
        Row(
            f"verify, {largest:,} runs",
            f"{largest / runs:.3g} times a study of {runs}",
            "s",
            [took[largest]],
            [took[runs] * largest / runs],
            reach=SLACK,
        )
        for runs in RUNS
        if runs < largest
    ]


def _verified(runs: int) -> float:
    folder = tempfile.TemporaryDirectory(prefix="folk-bench-")
    with folder as name, contextlib.chdir(name):
        fill(runs // SEEDS, SEEDS, IMAGES)
        start = time.perf_counter()
        found = audit()
        seconds = time.perf_counter() - start
    assert not found.wrong, found.wrong[0]
    return seconds
