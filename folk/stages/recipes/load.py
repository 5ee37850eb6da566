"""Loading of a recipe: its file, its bases, and a row's own values on top."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.shipped import own_or_shipped_recipe
from folk.evidence.core.yaml_model import Document, checked, merged, nested
from folk.evidence.study.study import path_safe
from folk.stages.recipes.base import Recipe

RecipeType = TypeVar("RecipeType", bound=Recipe)

# Sections that may not change a result: prose and runtime.
_NOT_RESULTS = ("about", "source", "assume", "runtime")


def load_typed(
    model: type[RecipeType], path: Path, overrides: Mapping[str, Any] | None = None
) -> RecipeType:
    """Read and check a recipe.

    Args:
        model: the typed form.
        path: the YAML file. Its `base:` names a recipe in the same folder, or of the package,
            that it changes.
        overrides: dotted keys and values laid on top, such as `{"optim.epochs": 3}`.

    Raises:
        InputError: file, line and key of every problem.
    """
    document = Document(path)
    values = _with_bases(document, (path.stem,))
    values = _laid_over(values, nested(overrides or {}))
    return checked(model, values, document)


def where_in(path: Path, dotted: str) -> str:
    """Return `file:line` of a key in a recipe or one of its bases."""
    document = Document(path)
    _with_bases(document, (path.stem,))
    return document.where(tuple(dotted.split(".")))


def result_values(recipe: Recipe) -> dict[str, Any]:
    """Extract the values that may change a result, without prose and `runtime`."""
    return recipe.model_dump(mode="json", exclude=set(_NOT_RESULTS))


def recipe_digest(recipe: Recipe) -> str:
    """Hash everything in a recipe that may change a result."""
    return sha256_of_json(result_values(recipe))


def _with_bases(document: Document, seen: tuple[str, ...]) -> dict[str, Any]:
    values = dict(document.values)
    base = values.pop("base", None)
    if base is None:
        return values
    try:
        base = path_safe(base if isinstance(base, str) else str(base))
    except ValueError as error:
        raise InputError(f"{document.at('base')}: {error} (got {base!r})") from error
    if base in seen:
        raise InputError(
            f"{document.at('base')}: '{base}' forms a cycle ({' -> '.join((*seen, base))})"
        )
    document.base = Document(own_or_shipped_recipe(document.path.with_name(f"{base}.yaml")))
    return _laid_over(_with_bases(document.base, (*seen, base)), values)


def _laid_over(below: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    result, changed = merged(below, values), _leaves(values)
    marks = [values.get(mark) for mark in ("source", "assume")]
    changed |= {key for mark in marks if isinstance(mark, Mapping) for key in mark}
    for mark in ("source", "assume"):
        if not all(isinstance(layer.get(mark, {}), Mapping) for layer in (below, values)):
            continue  # the typed model rejects it
        # The base's source does not apply to a value that is changed, removed, or marked anew.
        # Unknown keys stay: the typed model rejects them.
        inherited = {
            key: text
            for key, text in below.get(mark, {}).items()
            if (_has(result, key) or not _has(below, key))
            and not any(f"{key}.".startswith(f"{c}.") for c in changed)
        }
        result[mark] = inherited | values.get(mark, {})
    return result


def _has(values: Any, dotted: str) -> bool:
    for key in dotted.split("."):
        if not isinstance(values, Mapping) or key not in values:
            return False
        values = values[key]
    return True


def _leaves(values: Mapping[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in values.items():
        if key in _NOT_RESULTS and not prefix:
            continue
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found.add(f"{prefix}{key}")
    return found
