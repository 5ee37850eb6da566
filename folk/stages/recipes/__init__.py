"""Recipes: the hyper-parameters of one stage, typed; see `config/README.md` for every key."""

from folk.stages.recipes.load import recipe_digest, result_values

__all__ = ["recipe_digest", "result_values"]
