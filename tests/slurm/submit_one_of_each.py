"""Snakemake with its SLURM executor, which submits one job of each rule at once and ends.

A real call would submit what has its inputs; a study of the papers' size gets no further than its
archives without weeks of GPUs. What sbatch is called with does not depend on the inputs.
"""

import os
import sys

from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler


def submit_one_of_each(scheduler: JobScheduler) -> None:
    """Stand in for the scheduler's loop; sbatch on PATH is the test's own."""
    jobs = {job.rule.name: job for job in scheduler.workflow.dag.jobs if not job.is_local}
    for job in jobs.values():
        scheduler._executor.run_job(job)
    # The executor would now wait for jobs that nobody runs.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    JobScheduler.schedule = submit_one_of_each
    main(sys.argv[1:])
