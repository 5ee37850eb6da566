"""Snakemake's executor plugin `folk-slurm`: submission of the plugin `slurm`, watched by `Watch`.

Snakemake imports every plugin before it reads a Snakefile. So nothing of `folk` is imported before
a workflow uses this one: the workflow's own folder comes first by then.
"""

from typing import Any

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_executor_plugin_slurm import ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


class Executor(SlurmExecutor):  # type: ignore[misc]  # the plugin has no types
    """Name under which Snakemake finds `Watch`."""

    def __new__(cls, workflow: Any, logger: Any) -> Any:
        """Make a `Watch`."""
        from folk.slurm.watch import Watch

        return Watch(workflow, logger)
