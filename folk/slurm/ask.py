"""Resources that one job of a stage requests from a cluster."""

from dataclasses import dataclass

from folk.evidence.study.study import Study
from folk.slurm.geometry import Geometry


@dataclass(frozen=True)
class Ask:
    """Resource request of one job of a stage."""

    stage: str  # also the name of its rule
    nodes: int
    gpus: int  # of each node
    cpus: int  # of each node
    mem_mb: int  # of each node
    runtime: int  # minutes, from the study
    continues: bool = False  # a job ended by its time limit continues in another one

    def __str__(self) -> str:
        where = f"on each of {self.nodes} nodes" if self.nodes > 1 else "on one node"
        return f"{self.of_each_node} {where}"

    @property
    def of_each_node(self) -> str:
        """The request per node, in words."""
        parts = [f"{self.gpus} GPU{'s' * (self.gpus > 1)}"] if self.gpus else []
        parts += [f"{self.cpus} CPU{'s' * (self.cpus > 1)}", f"{self.mem_mb} MB"]
        return ", ".join(parts)


def ask_of(study: Study, stage: str) -> Ask:
    """Make the request of a job of a stage of this study."""
    asked = study.resources_of(stage)
    spread = Geometry.of(asked)
    continues = study.stages[stage].continues
    return Ask(
        stage, spread.nodes, spread.gpus, spread.cores, asked.mem_mb, asked.runtime, continues
    )


def submitted_stages(study: Study) -> list[str]:
    """List the stages of a study that are submitted to SLURM, in the order of the workflow.

    Others take seconds to minutes, and a queue would take longer.
    """
    unused = study.unused_stages()
    return [
        name
        for name, stage in study.stages.items()
        if not stage.with_the_driver and name not in unused
    ]
