"""The recipes that a study names, as they stand today."""

from pathlib import Path
from typing import Any

from folk.recipes.load import load_recipe, result_values
from folk.study import Study


def values_today(study: Study, study_path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """For each entry of a study, by stage and name, the values that decide its result.

    Recipes stand beside the study file, in recipes/STAGE/; the entry's own values are laid on top.

    Raises:
        InputError: what is wrong with a recipe.
    """
    named = [("prepare", name, entry.recipe, entry.overrides) for name, entry in study.data.items()]
    named += [("split", name, e.recipe, e.overrides) for name, e in study.splits.items()]
    named += [("pretrain", name, e.recipe, e.overrides) for name, e in study.encoders.items()]
    named += [(e.stage, name, e.recipe, e.overrides) for name, e in study.evaluations.items()]
    folder = study_path.parent / "recipes"
    return {
        (stage, name): result_values(load_recipe(stage, folder / stage / f"{recipe}.yaml", values))
        for stage, name, recipe, values in named
    }
