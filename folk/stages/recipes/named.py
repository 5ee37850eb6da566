"""Recipes of a study's entries, in recipes/STAGE/ next to its file."""

from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError
from folk.evidence.study.study import Entry, Study
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.load import load_recipe, result_values


def recipe_file(study_path: Path, stage: str, entry: Entry) -> Path:
    """Return the path of an entry's recipe."""
    return study_path.parent / "recipes" / stage / f"{entry.recipe}.yaml"


def recipe_of(study_path: Path, stage: str, entry: Entry) -> Recipe:
    """Load the recipe of an entry of a study, with the entry's own values on top.

    Raises:
        InputError: the recipe is invalid.
    """
    return load_recipe(stage, recipe_file(study_path, stage, entry), entry.overrides)


def recipes_of(study: Study, study_path: Path) -> dict[tuple[str, str], Recipe]:
    """Load every recipe of a study, by stage and name of the entry.

    Raises:
        InputError: every problem of every recipe.
    """
    recipes: dict[tuple[str, str], Recipe] = {}
    problems: list[str] = []
    for stage, name, entry in study.entries():
        try:
            recipes[stage, name] = recipe_of(study_path, stage, entry)
        except InputError as error:
            problems.append(f"{study_path}: '{name}': {error}")
    if problems:
        raise InputError("\n".join(problems))
    return recipes


def values_today(study: Study, study_path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Load the values that determine the result of each entry, by stage and name.

    Raises:
        InputError: a recipe is invalid.
    """
    return {key: result_values(recipe) for key, recipe in recipes_of(study, study_path).items()}
