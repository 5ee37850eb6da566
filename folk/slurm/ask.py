"""Resources that one job of a stage requests from a cluster."""

from dataclasses import dataclass

from folk.evidence.study.study import Stage, Study
from folk.slurm.geometry import Geometry

# Stages with checkpoints: another job continues after a time limit.
CONTINUING: tuple[Stage, ...] = ("pretrain", "finetune", "probe", "segment")
# Not submitted: they take seconds to minutes, and a queue would take longer.
WITH_THE_DRIVER: tuple[Stage, ...] = ("split", "report")


@dataclass(frozen=True)
class Ask:
    """Resource request of one job of a stage.

    Attributes:
        stage: its stage, also the name of its rule.
        nodes: that it runs on.
        gpus: of each node.
        cpus: of each node.
        mem_mb: of each node.
        runtime: minutes, from the study.
    """

    stage: Stage
    nodes: int
    gpus: int
    cpus: int
    mem_mb: int
    runtime: int

    @property
    def continues(self) -> bool:
        """True if a job ended by its time limit continues in another one."""
        return self.stage in CONTINUING

    def __str__(self) -> str:
        where = f"on each of {self.nodes} nodes" if self.nodes > 1 else "on one node"
        return f"{self.of_each_node} {where}"

    @property
    def of_each_node(self) -> str:
        """The request per node, in words."""
        parts = [f"{self.gpus} GPU{'s' * (self.gpus > 1)}"] if self.gpus else []
        parts += [f"{self.cpus} CPU{'s' * (self.cpus > 1)}", f"{self.mem_mb} MB"]
        return ", ".join(parts)


def ask_of(study: Study, stage: Stage) -> Ask:
    """Make the request of a job of a stage of this study."""
    asked = study.resources_of(stage)
    spread = Geometry.of(asked)
    return Ask(stage, spread.nodes, spread.gpus, spread.cores, asked.mem_mb, asked.runtime)


def submitted_stages(study: Study) -> list[Stage]:
    """List the stages of a study that are submitted to SLURM, in the order of the workflow."""
    stages: list[Stage] = ["prepare", "split", "pretrain"]
    measuring: tuple[Stage, ...] = ("finetune", "probe", "segment", "robustness", "cost")
    used = {evaluation.stage for evaluation in study.evaluations.values()}
    stages += [stage for stage in measuring if stage in used]
    return [stage for stage in stages if stage not in WITH_THE_DRIVER]
