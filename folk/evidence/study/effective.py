"""The study that made the results: what files and `--config` gave together, kept with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from folk.evidence.core.files import atomic_write
from folk.evidence.core.shipped import shipped
from folk.evidence.core.yaml_model import Document, flattened
from folk.evidence.study.stage import Stages
from folk.evidence.study.study import Study, written_study

HEADER = "# Written by snakemake: the study that made these results, as --configfile takes it.\n"
_SHOWN = 3  # keys of a difference that are named


def effective_path(results: Path) -> Path:
    """Path of the effective study; `results` is the study's own folder."""
    return results / "study.yaml"


def write_effective(values: Mapping[str, Any], path: Path) -> None:
    """Write the values of a study, unless the file has these very values."""
    if is_effective(values, path):
        return
    plain = YAML()
    plain.default_flow_style, plain.width = None, 120
    with atomic_write(path) as temp, temp.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        plain.dump(dict(values), file)


def is_effective(values: Mapping[str, Any], path: Path) -> bool:
    """True if the file at `path` has these values.

    Raises:
        InputError: it is not readable as YAML.
    """
    return path.is_file() and Document(path).values == values


def difference(study: Path, effective: Path, stages: Stages) -> str:
    """The keys in which two study files differ, in words; empty where they ask for the same.

    Raises:
        InputError: one of them is no study.
    """
    one, other = (_flat(written_study(path, stages), path) for path in (study, effective))
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def _flat(study: Study, path: Path) -> dict[str, Any]:
    values = study.model_dump(mode="json", by_alias=True)
    return flattened({**values, "recipes": shipped(study.recipe_folder(path)).as_posix()})
