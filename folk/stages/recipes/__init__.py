"""Recipes: the hyper-parameters of one stage, typed; `config/keys.md` describes every key."""

from folk.stages.recipes.load import recipe_digest, result_values

__all__ = ["recipe_digest", "result_values"]
