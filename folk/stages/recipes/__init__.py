"""Recipes: the hyper-parameters of one stage, typed; `config/keys.md` describes every key."""

from folk.stages.recipes.load import RECIPES, load_recipe, recipe_digest, result_values

__all__ = ["RECIPES", "load_recipe", "recipe_digest", "result_values"]
