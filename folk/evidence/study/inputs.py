"""Files that a job of a stage reads: the option of its command, and where they are in a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from folk.evidence.study.study import Study


def _of_no_job(_study: "Study", _run: str, _entry: Any) -> list[str]:
    return []


@dataclass(frozen=True)
class Input:
    """One kind of file that a stage reads.

    Attributes:
        name: name in records; `--<name>` is the option of the command.
        help: explanation of the option.
        places: the files of a study's job, relative to its results: of the study, the name of the
            run and the entry. None of them for a file that no job makes.
        siblings: files of the same folders that the record lists too, by their names there.
        several: the option may be repeated.
        named: values are NAME=PATH.
        optional: the option may be left out.
        settings: for a recipe, the option of KEY=VALUE that lies over it.
    """

    name: str
    help: str
    places: Callable[["Study", str, Any], list[str]] = _of_no_job
    siblings: Mapping[str, str] = field(default_factory=dict)
    several: bool = False
    named: bool = False
    optional: bool = False
    settings: str | None = None

    @property
    def parameter(self) -> str:
        """The name in Python."""
        return self.name.replace("-", "_")

    def recorded(self, given: str) -> dict[str, Path]:
        """The inputs of a record, by name, of one value of the option."""
        if self.named:
            key, _, value = given.partition("=")
            return {f"{self.name} {key}": Path(value)}
        path = Path(given)
        of_set = f"/{path.parent.name}" if self.several else ""
        others = {key: path.with_name(file) for key, file in self.siblings.items()}
        return {f"{key}{of_set}": each for key, each in ({self.name: path} | others).items()}


def _encoder(_study: "Study", run: str, _entry: Any) -> list[str]:
    return [f"pretrain/{run}/encoder.safetensors"]


def _classifier(study: "Study", run: str, entry: Any) -> list[str]:
    stage = study.evaluations[entry.classifier].stage
    return [f"{stage}/{run}/{entry.classifier}/{CLASSIFIER_FILE}"]


def _datasets(_study: "Study", _run: str, entry: Any) -> list[str]:
    names = [entry.data] if isinstance(entry.data, str) else entry.data
    return [f"prepare/{name}/dataset.json" for name in names]


def _split(_study: "Study", _run: str, entry: Any) -> list[str]:
    return [] if entry.split is None else [f"split/{entry.split}/keys.parquet"]


CLASSIFIER_FILE = "classifier.safetensors"  # a stage with this output makes classifiers

ENCODER = Input(
    "encoder",
    "encoder.safetensors, with encoder.json next to it",
    _encoder,
    siblings={"card": "encoder.json"},
)
CLASSIFIER = Input(
    "classifier",
    "classifier.safetensors, with classifier.json next to it",
    _classifier,
    siblings={"card": "classifier.json"},
)
DATASET = Input(
    "dataset",
    "dataset.json of a prepared data set",
    _datasets,
    siblings={"manifest": "manifest.parquet"},
)
DATASETS = replace(
    DATASET,
    help="dataset.json; the first has the clean images, give further sets after",
    several=True,
)
DATASET_FILE = replace(DATASET, siblings={})  # where the manifest is not read
SPLIT = Input(
    "split",
    "keys.parquet of a few-label split; all labels when left out",
    _split,
    optional=True,
)
PRETRAIN_RECIPE = Input(
    "pretrain-recipe", "YAML file of the pre-training's recipe", settings="pretrain-set"
)
