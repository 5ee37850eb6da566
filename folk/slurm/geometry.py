"""What a job is spread over, and what a scheduler must be asked for so that it can be."""

from dataclasses import dataclass

from folk.evidence.study.study import Resources


@dataclass(frozen=True)
class Geometry:
    """Nodes, and what stands on each of them.

    Attributes:
        nodes: machines.
        processes: of each node.
        threads: of each process.
        gpus: of each node; a process drives one.
    """

    nodes: int = 1
    processes: int = 1
    threads: int = 1
    gpus: int = 0

    @classmethod
    def of(cls, asked: Resources) -> "Geometry":
        """What a study lets a job of some stage ask for."""
        return cls(asked.nodes, asked.processes_of_node, asked.threads, asked.gpu)

    @property
    def world_size(self) -> int:
        """Processes of all nodes together."""
        return self.nodes * self.processes

    @property
    def cores(self) -> int:
        """Cores of each node."""
        return self.threads * self.processes

    def threads_within(self, cores: int) -> int:
        """Threads of each process where a node gives only `cores`; 1 at least."""
        return max(1, min(self.threads, cores // self.processes))

    def resources(self) -> dict[str, int | str]:
        """The resources of a rule, by the names that Snakemake's SLURM plugin reads.

        GPUs count for the whole job, all else for a node. With several nodes the rule itself calls
        `srun`; `tasks_per_gpu` is 0 because the plugin would make it of `tasks`, and then SLURM
        would start as many tasks for each GPU.
        """
        one_node: dict[str, int | str] = {
            "nodes": self.nodes,
            "gpu": self.nodes * self.gpus,
            "cpus_per_task": self.cores,
        }
        if self.nodes == 1:
            return one_node
        return one_node | {"mpi": "srun", "tasks": self.nodes, "tasks_per_gpu": 0}

    def words(self, cores: int) -> str:
        """What stands between `python` and the stage on the command line of a rule.

        Args:
            cores: that a node gives.
        """
        if self.world_size == 1:
            return "-m folk"  # no launcher to load, and none to stand between a signal and the job
        options = f"--nodes {self.nodes} --processes {self.processes}"
        options += f" --threads {self.threads_within(cores)} --gpus {self.gpus}"
        return f"-m folk launch {options} --"
