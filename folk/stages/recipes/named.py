"""Recipes of a study's entries, in STAGE/ of its folder of recipes or of the package's."""

from pathlib import Path

from folk.evidence.core.errors import InputError
from folk.evidence.core.shipped import own_or_shipped_recipe
from folk.evidence.study.study import Entry, Study
from folk.stages.recipes.base import Recipe
from folk.stages.table import load_recipe


def recipe_file(folder: Path, stage: str, entry: Entry) -> Path:
    """Return the recipe file of an entry of a study.

    Args:
        folder: the study's own recipes, which go before those of the package.
    """
    return own_or_shipped_recipe(folder / stage / f"{entry.recipe}.yaml")


def recipe_of(folder: Path, stage: str, entry: Entry) -> Recipe:
    """Load the recipe of an entry of a study, with the entry's own values on top.

    Raises:
        InputError: the recipe is invalid.
    """
    return load_recipe(stage, recipe_file(folder, stage, entry), entry.overrides)


def recipes_of(study: Study, study_path: Path) -> dict[tuple[str, str], Recipe]:
    """Load every recipe of a study, by stage and name of the entry.

    Raises:
        InputError: every problem of every recipe.
    """
    recipes: dict[tuple[str, str], Recipe] = {}
    problems: list[str] = []
    folder = study.recipe_folder(study_path)
    for stage, name, entry in study.entries():
        try:
            recipes[stage, name] = recipe_of(folder, stage, entry)
        except InputError as error:
            problems.append(f"{study_path}: '{name}': {error}")
    if problems:
        raise InputError("\n".join(problems))
    return recipes
