"""Today's recipes of a study, for comparison with records."""

from pathlib import Path
from typing import Any

from folk.evidence.audit.today import RecipeToday
from folk.evidence.core.errors import InputError
from folk.evidence.core.shipped import own_or_shipped_recipe
from folk.evidence.core.yaml_model import Document
from folk.evidence.study.study import Entry, Study
from folk.stages.recipes import result_values
from folk.stages.recipes.choices import other_choices
from folk.stages.recipes.named import recipe_file, recipe_of
from folk.stages.table import load_recipe


def recipes_today(study: Study, path: Path) -> dict[tuple[str, str], RecipeToday]:
    """Read the recipe of each entry of a study, by stage and entry.

    One that cannot be read any more is left out: results do not need it.

    Args:
        study: the study.
        path: its file.
    """
    folder = study.recipe_folder(path)
    found = {}
    for stage, name, entry in study.entries():
        try:
            found[str(stage), name] = _today(folder, stage, entry)
        except InputError:
            continue
    return found


def _today(folder: Path, stage: str, entry: Entry) -> RecipeToday:
    file = recipe_file(folder, stage, entry)
    recipe = recipe_of(folder, stage, entry)
    plain, values = recipe.model_dump(mode="json"), result_values(recipe)
    of_file = result_values(load_recipe(stage, file)) if entry.overrides else values
    base = Document(file).values.get("base")
    others = {key: other_choices(stage, plain, key) for key in recipe.assume}
    of_base = _of_base(stage, file, base)
    return RecipeToday(file.as_posix(), values, of_file, base, of_base, others)


def _of_base(stage: str, file: Path, base: str | None) -> dict[str, Any] | None:
    if base is None:
        return None
    try:
        return result_values(
            load_recipe(stage, own_or_shipped_recipe(file.with_name(f"{base}.yaml")))
        )
    except InputError:
        return None
