"""Check that a study does not replace published digests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folk.stages.table import STAGES, load_recipe

_ADVICE = "only a smoke run may read other bytes; remove it, or use your own recipe"


def changed_digests(stage: str, path: Path, overrides: Mapping[str, Any]) -> list[str]:
    """List the digests of a recipe that a study's own values change or remove.

    Args:
        overrides: dotted keys and values, as a study's `set`.

    Raises:
        InputError: the recipe, with these values or without, is invalid.
    """
    if not overrides or STAGES[stage].of_runs:
        return []
    official = load_recipe(stage, path).digests()
    read = load_recipe(stage, path, overrides).digests()
    return [
        f"{key}: {path} has {digest}, `set` makes it {read.get(key) or 'null'}; {_ADVICE}"
        for key, digest in official.items()
        if digest is not None and read.get(key) != digest
    ]
