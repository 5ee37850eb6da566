"""Alternatives to a recipe's value, from a key's type."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from folk.stages.table import RECIPES


def other_choices(stage: str, values: Mapping[str, Any], dotted: str) -> list[Any]:
    """List the alternatives to a value; empty if its type does not list values, as with numbers.

    Args:
        values: the resolved recipe, plain; it selects the part that a key belongs to.
        dotted: the key, such as `method.filter.threshold_mode`.
    """
    kinds: list[Any] = [RECIPES[stage]]
    at: Any = values
    for key in dotted.split("."):
        models = [_ for _ in kinds if isinstance(_, type) and issubclass(_, BaseModel)]
        models = [model for model in models if _fits(model, at, key)]
        fields = [model.model_fields[key] for model in models if key in model.model_fields]
        kinds = [part for field in fields for part in _parts(field.annotation)]
        at = at.get(key) if isinstance(at, Mapping) else None
    listed = dict.fromkeys(choice for part in kinds for choice in _listed(part))
    if listed and type(None) in kinds:
        listed[None] = None
    return [choice for choice in listed if choice != at]


def _fits(model: type[BaseModel], at: Any, key: str) -> bool:
    """Return True if a section is of this model; for the key `kind` itself any section is."""
    field = model.model_fields.get("kind")
    if field is None or key == "kind" or not isinstance(at, Mapping):
        return True
    return at.get("kind") in get_args(field.annotation)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, at any depth."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin is Literal or origin in (list, dict, tuple) or not get_args(annotation):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _parts(part)


def _listed(part: Any) -> tuple[Any, ...]:
    if part is bool:
        return (True, False)
    return get_args(part) if get_origin(part) is Literal else ()
