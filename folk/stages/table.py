"""The stages, each declared in the module of its name.

They are imported by name, so that the fingerprint of the code that reads this table does not hold
the code of every stage.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from folk.evidence.study.stage import Stage
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.load import load_typed

# In the order of the workflow.
NAMES = (
    "prepare",
    "split",
    "pretrain",
    "finetune",
    "probe",
    "segment",
    "robustness",
    "cost",
    "report",
)
STAGES: dict[str, Stage] = {name: import_module(f"folk.stages.{name}").STAGE for name in NAMES}
RECIPES: dict[str, type[Recipe]] = {
    name: stage.recipe for name, stage in STAGES.items() if stage.recipe is not None
}


def load_recipe(stage: str, path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read and check the recipe of a stage.

    Args:
        path: the YAML file. Its `base:` names a recipe in the same folder, or of the package,
            that it changes.
        overrides: dotted keys and values laid on top, such as `{"optim.epochs": 3}`.

    Raises:
        InputError: file, line and key of every problem.
    """
    return load_typed(RECIPES[stage], path, overrides)
