"""Declaration of a stage: all that the command line, the rules and the evidence know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from folk.evidence.core.yaml_model import Section
from folk.evidence.study.inputs import CLASSIFIER_FILE, Input

OF_RUNS = ("encoders", "evaluations")  # sections of a study whose jobs belong to a run


class Resources(Section):
    """Resources of one job of a stage."""

    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads per process. Keep the number fixed: CPU results repeat only with the same one."""
    gpu: Annotated[int, Field(ge=0)] = 0
    """GPUs per node."""
    mem_mb: Annotated[int, Field(ge=1)] = 2000
    """Memory per node, MB."""
    runtime: Annotated[int, Field(ge=1)] = 60
    """Minutes."""
    nodes: Annotated[int, Field(ge=1)] = 1
    """Several need SLURM."""
    processes: Annotated[int, Field(ge=1)] | None = None
    """Processes per node; null is one per GPU, or 1."""

    @model_validator(mode="after")
    def _a_process_for_each_gpu(self) -> "Resources":
        if self.gpu and self.processes not in (None, self.gpu):
            raise ValueError(
                f"{self.processes} processes for {self.gpu} GPUs of a node; each process uses "
                "one GPU, so remove 'processes'"
            )
        return self

    @property
    def processes_of_node(self) -> int:
        """Processes of each node."""
        return self.processes or max(self.gpu, 1)


@dataclass(frozen=True)
class Metric:
    """A metric that stored predictions tell again.

    Functions are named, as `package.module.function`, so that the table of stages needs no numpy.

    Attributes:
        file: name of the file with the predictions.
        value: computes the metric from the file's path and the metric's name; None where the file
            does not tell it.
        images: reads the scores of each image, for the bootstrap; empty where there are none.
    """

    file: str
    value: str
    images: str = ""

    def value_in(self, folder: Path, name: str) -> float | None:
        """Compute the metric of this name from the predictions in a folder."""
        found: float | None = _function(self.value)(folder / self.file, name)
        return found

    def images_in(self, folder: Path, name: str) -> Any:
        """Read the scores of each image from the predictions in a folder; None without any."""
        return _function(self.images)(folder / self.file, name) if self.images else None


def _function(name: str) -> Callable[[Path, str], Any]:
    module, _, function = name.rpartition(".")
    found: Callable[[Path, str], Any] = getattr(import_module(module), function)
    return found


@dataclass(frozen=True)
class Stage:
    """A stage, declared in `folk/stages/<name>.py`.

    Attributes:
        name: the word for command, rule, module and result folder.
        summary: one sentence, for the command's help.
        section: the section of a study file with its entries; None if it has none.
        recipe: typed form of its recipes.
        run: does the work of one job; it imports torch itself.
        inputs: what a job reads.
        outputs: the files that a job leaves besides metrics, recipe and record: name in the rule ->
            file name.
        metrics: name of a metric, or a pattern such as `knn_top1_k*` -> how it is computed again.
            What is named and what `run` does not return is computed when the job ends.
        several_processes: a job may run in several processes.
        continues: a job has checkpoints: another one continues after a time limit.
        with_the_driver: takes seconds, so it is not submitted to a cluster.
        finetune_seeds: `seeds` of a study's entry are of its own.
        kind: kind of its numbers in papers.yaml, which tells how they vary over seeds.
        kind_of_few: the same with a split; as `kind` if empty.
        of_one_machine: its metrics tell of a machine, and not how good a result is.
        resources: of a job, unless the study says otherwise.
        smoke_mb: memory of a job of a smoke run.
        module: the module whose code, with all that it imports, decides the result.
    """

    name: str
    summary: str
    section: Literal["data", "splits", "encoders", "evaluations"] | None = None
    recipe: Any = None
    run: Callable[[Any], dict[str, float]] | None = None
    inputs: tuple[Input, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    several_processes: bool = False
    continues: bool = False
    with_the_driver: bool = False
    finetune_seeds: bool = False
    kind: str = "frozen-features"
    kind_of_few: str = ""
    of_one_machine: bool = False
    resources: Resources = field(default_factory=Resources)
    smoke_mb: int = 4000
    module: str = ""

    @property
    def code(self) -> str:
        """Dotted name of the module whose code decides the result."""
        return self.module or f"folk.stages.{self.name}"

    @property
    def of_runs(self) -> bool:
        """True if each job belongs to a run."""
        return self.section in OF_RUNS

    @property
    def is_evaluation(self) -> bool:
        """True if it measures runs."""
        return self.section == "evaluations"

    @property
    def wildcard(self) -> str:
        """Wildcard of the rule that names the run, the data set or the split."""
        return {"data": "data", "splits": "split"}.get(self.section or "", "run")

    @property
    def leaves_weights(self) -> bool:
        """True if it stores a network."""
        return any(name.endswith(".safetensors") for name in self.outputs.values())

    @property
    def tells_quality(self) -> bool:
        """True if its metrics tell how good a result is."""
        return self.of_runs and not self.of_one_machine

    @property
    def makes_classifiers(self) -> bool:
        """True if another evaluation may read its classifier."""
        return CLASSIFIER_FILE in self.outputs.values()

    @property
    def has_predictions(self) -> bool:
        """True if it stores predictions."""
        return any(name.startswith("predictions") for name in self.outputs.values())

    def reads(self, name: str) -> bool:
        """True if it reads inputs of this name."""
        return any(given.name == name for given in self.inputs)

    def metric(self, name: str) -> Metric | None:
        """Find how a metric is computed again; None if nothing stored tells it."""
        return next((m for key, m in self.metrics.items() if fnmatchcase(name, key)), None)


Stages = Mapping[str, Stage]  # by name, in the order of the workflow
