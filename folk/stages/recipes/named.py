"""The recipes that a study names, in STAGE/ of its folder of recipes."""

from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError
from folk.evidence.study.study import Entry, Study
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.load import load_recipe, result_values


def recipe_file(folder: Path, stage: str, entry: Entry) -> Path:
    """The recipe file of an entry of a study; `folder` holds the recipes of all stages."""
    return folder / stage / f"{entry.recipe}.yaml"


def recipe_of(folder: Path, stage: str, entry: Entry) -> Recipe:
    """The recipe of an entry of a study, with the entry's own values on top.

    Raises:
        InputError: what is wrong with it.
    """
    return load_recipe(stage, recipe_file(folder, stage, entry), entry.overrides)


def recipes_of(study: Study, study_path: Path) -> dict[tuple[str, str], Recipe]:
    """Every recipe that a study names, by stage and name of the entry.

    Raises:
        InputError: what is wrong with each of them.
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


def values_today(study: Study, study_path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """For each entry of a study, by stage and name, the values that decide its result.

    Raises:
        InputError: what is wrong with a recipe.
    """
    return {key: result_values(recipe) for key, recipe in recipes_of(study, study_path).items()}
