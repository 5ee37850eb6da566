"""YAML files checked against typed models: every problem at once, each with file, line and key."""

import copy
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from yaml import YAMLError

from folk.errors import InputError, nearest
from folk.yaml_text import Keys, parsed


class Section(BaseModel):
    """A part of a file: unknown keys and wrong types are refused, values never change later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Model = TypeVar("Model", bound=BaseModel)


class Document:
    """One YAML file: its plain values, and on which line each key stands."""

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            InputError: the file is missing, is not YAML, repeats a key, or is no mapping.
        """
        self.path = path
        if not path.is_file():
            here = [p.stem for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
            raise InputError(f"{path}: no such file{nearest(path.stem, here)}")
        try:
            values, self._lines = _parsed(path.read_text(encoding="utf-8"))
        except (YAMLError, OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: not readable as YAML: {_one_line(error)}") from error
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected keys with values, found {type(values).__name__}")
        self.values: dict[str, Any] = copy.deepcopy(values)
        self.base: Document | None = None  # the file whose values lie under this one's

    def where(self, keys: Keys) -> str:
        """`file:line` of the deepest of `keys` that stands in this file or in its bases."""
        for end in range(len(keys), 0, -1):
            document: Document | None = self
            while document is not None:
                if keys[:end] in document._lines:
                    return f"{document.path}:{document._lines[keys[:end]]}"
                document = document.base
        return str(self.path)


def parse_value(text: str) -> Any:
    """Read one value as YAML 1.2 does: `2e-4` is a number, `true` a boolean, `[1, 2]` a list.

    Raises:
        InputError: the text is not YAML.
    """
    try:
        return parsed(text)[0]
    except YAMLError as error:
        raise InputError(f"'{text}' is not a YAML value: {_one_line(error)}") from error


def checked(model: type[Model], values: Mapping[str, Any], document: Document) -> Model:
    """Turn `values` into `model`.

    Args:
        model: the typed form.
        values: plain values, usually `document.values`.
        document: the file they came from, for the error lines.

    Raises:
        InputError: one line for each problem, with file, line, key and the nearest valid name.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # Every member of a union complains about every key: one line a problem is enough.
        lines = [_explained(detail, model, document) for detail in error.errors()]
        raise InputError("\n".join(dict.fromkeys(lines))) from error


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `above` over `below`; mappings are merged key by key, everything else is replaced.

    A mapping of another `kind` is replaced too: its keys mean other things. So do the arguments of
    another architecture: a new `timm_name` drops the `timm_args` below it.
    """
    if below.get("kind") != above.get("kind", below.get("kind")):
        return dict(above)
    result = dict(below)
    if below.get("timm_name") != above.get("timm_name", below.get("timm_name")):
        result.pop("timm_args", None)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        result[key] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """`{"optim.epochs": 3}` as `{"optim": {"epochs": 3}}`."""
    result: dict[str, Any] = {}
    for name, value in dotted.items():
        for key in reversed(name.split(".")):
            value = {key: value}
        result = merged(result, value)
    return result


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"optim": {"epochs": 3}}` as `{"optim.epochs": 3}`; lists and empty mappings stay whole."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            result |= flattened(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def _explained(detail: ErrorDetails, model: type[BaseModel], document: Document) -> str:
    keys, known = _in_file(model, tuple(detail["loc"]))
    dotted = ".".join(str(key) for key in keys)
    where = document.where(keys)
    if detail["type"] == "extra_forbidden":
        return f"{where}: {dotted}: unknown key{nearest(str(keys[-1]), known)}"
    if detail["type"] == "missing":
        return f"{where}: {dotted}: this key is missing"
    if detail["type"] == "union_tag_invalid":
        kind = str(detail["input"]["kind"])
        tags = detail["ctx"]["expected_tags"].replace("'", "").split(", ")
        return f"{document.where((*keys, 'kind'))}: {dotted}.kind: no '{kind}'{nearest(kind, tags)}"
    shown = repr(detail["input"])
    found = f" (found {shown})" if len(shown) < 80 else ""
    return f"{where}: {dotted}: {detail['msg'].removeprefix('Value error, ')}{found}"


def _in_file(model: Any, location: Keys) -> tuple[Keys, list[str]]:
    """Where a problem stands in a file, and the names that its last key could have had.

    The tag of a union is part of pydantic's location, but no key of the file.
    """
    models, keys, known = [model], [], [model]
    for key in location:
        known = models
        fields = [_models_in(c.model_fields[key].annotation) for c in models if key in _names(c)]
        tagged = [c for c in models if key in _tags(c)]
        if fields or not tagged:
            keys.append(key)
        models = [m for found in fields for m in found] or tagged or models
    return tuple(keys), sorted({name for candidate in known for name in _names(candidate)})


def _names(model: Any) -> set[str]:
    return set(getattr(model, "model_fields", ()))


def _tags(model: type[BaseModel]) -> set[str]:
    kind = model.model_fields.get("kind")
    return set(getattr(kind.annotation, "__args__", ())) if kind is not None else set()


def _models_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_in(part)]


# A study of hundreds of rows reads a few recipes hundreds of times.
_parsed = lru_cache(maxsize=256)(parsed)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
