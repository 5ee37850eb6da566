"""Today's recipes of a study, for comparison with records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from folk.evidence.audit.today import RecipeToday
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document
from folk.evidence.study.study import Study
from folk.stages.recipes import result_values
from folk.stages.recipes.named import recipe_file, recipe_of
from folk.stages.table import load_recipe


def recipes_today(study: Study, path: Path) -> Callable[[str, str], RecipeToday | None]:
    """Find a recipe by stage and entry of the study, reading it only then.

    Args:
        study: the study.
        path: its file.

    Returns:
        a function that gives None for an entry that the study does not have, and for a recipe
        that cannot be read any more.
    """
    folder = study.recipe_folder(path)

    def find(stage: str, name: str) -> RecipeToday | None:
        try:
            named = study.entry(stage, name)
            file = recipe_file(folder, stage, named)
            values = result_values(recipe_of(folder, stage, named))
            of_file = result_values(load_recipe(stage, file)) if named.overrides else values
        except InputError:
            return None
        base = Document(file).values.get("base")
        return RecipeToday(file.as_posix(), values, of_file, base, _of_base(stage, file, base))

    return find


def _of_base(stage: str, file: Path, base: str | None) -> dict[str, Any] | None:
    if base is None:
        return None
    try:
        return result_values(load_recipe(stage, file.with_name(f"{base}.yaml")))
    except InputError:
        return None
