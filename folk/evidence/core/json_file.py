"""Validated reading of JSON files, with errors that name the file."""

import json
import math
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from folk.evidence.core.errors import InputError, brief

Form = TypeVar("Form")  # a dataclass


def read_json(path: Path, remedy: str) -> Any:
    """Read the value of a JSON file.

    Stricter than JSON's readers: values without a canonical digest (NaN, infinity, half a surrogate
    pair) and duplicate keys are errors.

    Args:
        remedy: the fix, as the end of the line.

    Raises:
        InputError: the file cannot be read or is not such JSON.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(
            text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_each_key_once
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; {remedy}") from error
    except RecursionError as error:
        raise InputError(f"{path}: invalid JSON: nested too deeply; {remedy}") from error
    except ValueError as error:
        raise InputError(f"{path}: invalid JSON: {brief(error)}; {remedy}") from error
    return value


def read_keys(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: as `read_json`; or the file is no object.
    """
    value = read_json(path, remedy)
    if not isinstance(value, dict):
        found = type(value).__name__
        raise InputError(f"{path}: expected keys with values, got {found}; {remedy}")
    return value


def read_form(path: Path, form: type[Form], version: int, remedy: str) -> Form:
    """Read a dataclass from a file whose key `format` is the version of its form.

    Args:
        form: the dataclass; its fields are exactly the keys.

    Raises:
        InputError: as `read_keys`; or another format, a missing or unknown key, or an invalid type.
    """
    values = read_keys(path, remedy)
    if values.pop("format", None) != version:
        raise InputError(f"{path}: expected format {version}; {remedy}")
    return typed(path, form, values, remedy)


def typed(path: Path, form: type[Form], values: dict[str, Any], remedy: str) -> Form:
    """Convert the values of a file to a dataclass.

    Raises:
        InputError: a missing or unknown key, or an invalid type.
    """
    from pydantic import ValidationError

    unknown = sorted(values.keys() - {field.name for field in fields(form)})  # type: ignore[arg-type]
    if unknown:
        raise InputError(f"{path}: {unknown[0]}: unknown key; {remedy}")
    try:
        kind: Any = form
        made: Form = _adapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}; {remedy}") from error
    return made


@cache
def _adapter(form: Any) -> Any:
    from pydantic import TypeAdapter  # a tenth of a second, so imported only where needed

    return TypeAdapter(form)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number {text} is too large")
    return number


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate key {duplicate!a}")
    return values
