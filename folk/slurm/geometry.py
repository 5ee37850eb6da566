"""Nodes, processes and threads of a job, and the resources to request for them."""

from dataclasses import dataclass

from folk.evidence.study.stage import Resources


@dataclass(frozen=True)
class Geometry:
    """Nodes, and processes, threads and GPUs on each."""

    nodes: int = 1
    processes: int = 1  # of each node
    threads: int = 1  # of each process
    gpus: int = 0  # of each node; a process drives one

    @classmethod
    def of(cls, asked: Resources) -> "Geometry":
        """Make the geometry of a stage's job from the study's resources."""
        return cls(asked.nodes, asked.processes_of_node, asked.threads, asked.gpu)

    @property
    def world_size(self) -> int:
        """Total number of processes."""
        return self.nodes * self.processes

    @property
    def cores(self) -> int:
        """Cores of each node."""
        return self.threads * self.processes

    def threads_within(self, cores: int) -> int:
        """Threads of each process on a node with only `cores`; at least 1."""
        return max(1, min(self.threads, cores // self.processes))

    def resources(self) -> dict[str, int | str]:
        """Make the resources of a rule, by the names of Snakemake's SLURM plugin.

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
        """Make the arguments between `python` and the stage on the command line of a rule."""
        if self.world_size == 1 and not self.gpus:
            return "-m folk"  # no launcher to load
        options = f"--nodes {self.nodes} --processes {self.processes}"
        options += f" --threads {self.threads_within(cores)} --gpus {self.gpus}"
        return f"-m folk launch {options} --"
