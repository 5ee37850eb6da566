"""JSON files read without trust: one line names the file, whatever is wrong with its bytes."""

import json
import math
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from folk.evidence.core.errors import InputError

Form = TypeVar("Form")  # a dataclass


def read_json(path: Path, remedy: str) -> Any:
    """The value that a file holds.

    More is refused than JSON's readers refuse: what has no digest of its own (NaN, infinity, half
    a surrogate pair), and a key that stands twice, of which a person reads the first and a program
    the last.

    Args:
        path: the file.
        remedy: what the user can do, as the end of the line.

    Raises:
        InputError: the file cannot be read or is no such JSON.
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
        raise InputError(f"{path}: not JSON: nested too deeply; {remedy}") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as JSON: {reason[:200]}; {remedy}") from error
    return value


def read_keys(path: Path, remedy: str) -> dict[str, Any]:
    """Keys with values.

    Raises:
        InputError: as `read_json`; or the file holds something else.
    """
    value = read_json(path, remedy)
    if not isinstance(value, dict):
        found = type(value).__name__
        raise InputError(f"{path}: expected keys with values, found {found}; {remedy}")
    return value


def read_form(path: Path, form: type[Form], version: int, remedy: str) -> Form:
    """A dataclass from a file whose key `format` is the version of its form.

    Args:
        path: the file.
        form: the dataclass; each of its fields is a key, and there are no others.
        version: of the form that this program reads.
        remedy: what the user can do.

    Raises:
        InputError: as `read_keys`; the file has another format, lacks a key or has one more, or a
            value has another type.
    """
    values = read_keys(path, remedy)
    if values.pop("format", None) != version:
        raise InputError(f"{path}: not format {version}, which this version reads; {remedy}")
    return typed(path, form, values, remedy)


def typed(path: Path, form: type[Form], values: dict[str, Any], remedy: str) -> Form:
    """The values of a file as a dataclass.

    Raises:
        InputError: a key is missing or is one too many, or a value has another type.
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
    from pydantic import TypeAdapter  # a tenth of a second that not every command pays

    return TypeAdapter(form)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!a} stands twice")
    return values
