"""Check that a study does not replace published digests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folk.stages.recipes.base import Recipe
from folk.stages.recipes.load import load_recipe
from folk.stages.recipes.prepare import PrepareRecipe, SplitRecipe

_ADVICE = "only a smoke run may read other bytes; remove it, or use your own recipe"


def changed_digests(stage: str, path: Path, overrides: Mapping[str, Any]) -> list[str]:
    """List the digests of a recipe that a study's own values change or remove.

    Args:
        stage: of the recipe; only `prepare` and `split` have digests.
        path: the recipe's file.
        overrides: dotted keys and values, as a study's `set`.

    Raises:
        InputError: the recipe, with these values or without, is invalid.
    """
    if stage not in ("prepare", "split") or not overrides:
        return []
    official = _digests(load_recipe(stage, path))
    read = _digests(load_recipe(stage, path, overrides))
    return [
        f"{key}: {path} has {digest}, `set` makes it {read.get(key) or 'null'}; {_ADVICE}"
        for key, digest in official.items()
        if digest is not None and read.get(key) != digest
    ]


def _digests(recipe: Recipe) -> dict[str, str | None]:
    if isinstance(recipe, PrepareRecipe) and recipe.archive is not None:
        files = recipe.archive.files
        return {f"archive.files.{name}.md5": file.md5 for name, file in files.items()}
    if isinstance(recipe, SplitRecipe):
        return {"list_sha256": recipe.list_sha256}
    return {}
