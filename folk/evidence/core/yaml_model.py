"""YAML files checked against typed models: every problem at once, each with file, line and key."""

import ast
import copy
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_type_hints, runtime_checkable

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails
from yaml import MarkedYAMLError, YAMLError

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.yaml_loader import Keys, parsed


class Section(BaseModel):
    """A part of a file: unknown keys and wrong types are errors, values never change later."""

    # Built at first use: no command needs all of them, and `--help` none.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, defer_build=True, allow_inf_nan=False
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe each key by the docstring below it.

        pydantic's `use_attribute_docstrings` would read all sources at each start.
        """
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in _docstrings(cls).items():
            properties[cls.model_fields[name].alias or name]["description"] = text
        return schema


def _docstrings(model: type[Section]) -> dict[str, str]:
    """The docstring below each field of a model, or of a model that it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__[: model.__mro__.index(Section)]):
        if base.__name__ not in vars(sys.modules[base.__module__]):
            continue  # of `section_of`, which describes the keys itself
        definition = ast.parse(inspect.getsource(base)).body[0]
        assert isinstance(definition, ast.ClassDef)
        for field, below in pairwise(definition.body):
            match field, below:
                case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


Model = TypeVar("Model", bound=BaseModel)


def section_of(part: Any) -> type[Section]:
    """Make the section of a file for a dataclass with a `kind`.

    It has the dataclass's attributes as keys, all of them required, with the ranges of their types.
    What the dataclass refuses when it is made, the section refuses too.
    """

    def can_be_made(section: Section) -> Section:
        part(**section.model_dump(include={field.name for field in fields(part)}))
        return section

    after: Any = model_validator(mode="after")
    types = get_type_hints(part, include_extras=True)
    summary, about = part.__doc__.split("\n", 1)[0], _attributes(part.__doc__)
    keys: dict[str, Any] = {"kind": (Literal[part.kind], Field(description=summary))}
    keys |= {
        field.name: (types[field.name], Field(description=about.get(field.name)))
        for field in fields(part)
    }
    return create_model(
        f"{part.__name__}Settings",
        __base__=Section,
        __doc__=summary,
        __module__=part.__module__,
        __validators__={"can_be_made": after(can_be_made)},
        **keys,
    )


def _attributes(docstring: str) -> dict[str, str]:
    """The descriptions under "Attributes:" of a docstring, by name."""
    section = inspect.cleandoc(docstring).partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: text[0].upper() + " ".join(text.split())[1:] for name, text in entries}


_LONGEST_NAME = 255  # of a file, on most systems; a longer path need not be repeated
_SHOWN = 80  # characters of a found value or key that an error repeats
_HALVES = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")


@runtime_checkable
class Place(Protocol):
    """Origin of values, for the lines of an error."""

    def where(self, keys: Keys) -> str:
        """`file:line` of the value at `keys`."""


class Document:
    """A YAML file: its plain values, and the line of each key."""

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            InputError: the file is missing, is not YAML, repeats a key, or is no mapping.
        """
        self.path = path
        text = text_of(path)
        try:
            values, self._lines = _parsed(text)
        except YAMLError as error:
            line, problem = _place(error, text)
            raise InputError(f"{path}:{line}: not readable as YAML: {problem}") from error
        if not isinstance(values, dict):
            found = "nothing" if values is None else f"a {type(values).__name__}"
            raise InputError(f"{path}: expected keys with values, got {found}")
        self.values: dict[str, Any] = copy.deepcopy(values)
        self.base: Document | None = None  # the file whose values this one overrides

    def where(self, keys: Keys) -> str:
        """`file:line` of the deepest of `keys` that this file or one of its bases has."""
        for end in range(len(keys), 0, -1):
            document: Document | None = self
            while document is not None:
                if keys[:end] in document._lines:
                    return document._place_of(keys[:end])
                document = document.base
        return str(self.path)

    def at(self, *keys: str | int) -> str:
        """`file:line: key`, with dots in the key: the beginning of an error line."""
        return f"{self.where(keys)}: {'.'.join(map(str, keys))}"

    def _place_of(self, keys: Keys) -> str:
        return f"{self.path}:{self._lines[keys]}"


class Layers(Document):
    """YAML files laid over one another, as Snakemake does it, and values without a file on top.

    Mappings are merged key by key, everything else is replaced.
    """

    def __init__(
        self, files: Sequence[Path], values: Mapping[str, Any], *, origin: str, named_by: str
    ) -> None:
        """Read the files.

        Args:
            files: the lowest first.
            values: laid over all files.
            origin: what an error message calls the place of `values`, such as "--config".
            named_by: a key; the uppermost file that has it gives the whole its path.

        Raises:
            InputError: as of `Document`, for any of the files.
        """
        self.path, self.base, self.values = Path(origin), None, {}
        for file in files:
            document = Document(file)
            document.base, self.base = self.base, document
            self.values = _updated(self.values, document.values)
            if named_by in document.values:
                self.path = file
        self.values = _updated(self.values, values)
        self._origin = origin
        self._lines = dict.fromkeys(_key_paths(values), 0)

    def _place_of(self, keys: Keys) -> str:
        return self._origin


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: the file is missing, cannot be read or is not UTF-8.
    """
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8")
        is_there = path.exists()
        here = [p.stem for p in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8: {error.reason}; save it as UTF-8") from error
    except OSError as error:
        named = str(path) if len(str(path)) < _LONGEST_NAME else _short(str(path))
        raise InputError(f"{named}: cannot be read: {error.strerror}") from error
    if is_there:
        raise InputError(f"{path}: expected a file")
    raise InputError(f"{_one_line(str(path))}: no such file{nearest(path.stem, here)}")


def parse_value(text: str) -> Any:
    """Read one value as YAML 1.2 does: `2e-4` is a number, `true` a boolean, `[1, 2]` a list.

    Raises:
        InputError: the text is not YAML.
    """
    try:
        return parsed(text)[0]
    except YAMLError as error:
        shown = f"'{text}'" if len(text) < _SHOWN else f"a value of {len(text)} characters"
        raise InputError(
            f"{_one_line(shown)} is not a YAML value: {_place(error, text)[1]}"
        ) from error


def parsed_settings(settings: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Parse the KEY=VALUE options of a command to dotted keys and values.

    Raises:
        InputError: an option without `=`, a value that is invalid YAML, or a duplicate key.
    """
    values: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"{option} {text}: expected KEY=VALUE, such as optim.epochs=3")
        parsed_value = parse_value(value)
        if key in values:
            raise InputError(f"{option} {key}: duplicate key; remove one")
        values[key] = parsed_value
    return values


def spelt_value(value: Any) -> str:
    """One value as a word that `parse_value` reads as this very value, in ASCII.

    YAML reads JSON, but for a character that JSON writes as two halves.
    """
    return _HALVES.sub(_whole_character, json.dumps(value))


def checked(model: type[Model], values: Mapping[str, Any], place: Place) -> Model:
    """Turn `values` into `model`.

    Args:
        values: plain values, usually `document.values`.
        place: the file they came from, for the error lines.

    Raises:
        InputError: one line for each problem, with file, line, key and the nearest valid name.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # Every member of a union complains about every key: one line a problem is enough.
        lines = [_explained(detail, model, place) for detail in error.errors()]
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


def _updated(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `above` over `below` as Snakemake does with its config, in which no key is special."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        whole = not isinstance(value, Mapping)
        result[key] = (
            value if whole else _updated(under if isinstance(under, Mapping) else {}, value)
        )
    return result


def _key_paths(values: Any, keys: Keys = ()) -> Iterator[Keys]:
    """Every key and list index of plain values, as a path from the top."""
    items: Iterable[tuple[Any, Any]] = values.items() if isinstance(values, Mapping) else ()
    for key, value in enumerate(values) if isinstance(values, list) else items:
        yield (*keys, key)
        yield from _key_paths(value, (*keys, key))


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


def _explained(detail: ErrorDetails, model: type[BaseModel], place: Place) -> str:
    keys, known = _in_file(model, tuple(detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return _line(place, keys, f"unknown key{nearest(str(keys[-1]), known)}")
    if detail["type"] == "missing":
        return _line(place, keys, "missing key")
    if detail["type"] == "union_tag_invalid":
        kind = str(detail["input"]["kind"])
        tags = detail["ctx"]["expected_tags"].replace("'", "").split(", ")
        return _line(place, (*keys, "kind"), f"unknown '{kind}'{nearest(kind, tags)}")
    shown = repr(detail["input"])
    found = f" (got {shown})" if len(shown) < _SHOWN else ""
    return _line(place, keys, f"{detail['msg'].removeprefix('Value error, ')}{found}")


def _line(place: Place, keys: Keys, problem: str) -> str:
    """One line of an error; a key may be long and odd."""
    dotted = ".".join(_short(str(key)) for key in keys)
    return ": ".join(filter(None, (place.where(keys), dotted, problem)))


def _short(key: str) -> str:
    key = _one_line(key)
    return key if len(key) < _SHOWN else f"{key[: _SHOWN // 2]}..."


def _in_file(model: Any, location: Keys) -> tuple[Keys, list[str]]:
    """The place of a problem in a file, and the names that its last key could have had.

    The tag of a union is part of pydantic's location, but no key of the file.
    """
    models, keys, known = [model], [], [model]
    for key in location:
        if key == "[key]":  # pydantic's word for the key itself, which precedes it
            continue
        known = models
        inner = [_models_in(_names(c)[key].annotation) for c in models if key in _names(c)]
        tagged = [c for c in models if key in _tags(c)]
        if inner or not tagged:
            keys.append(key)
        models = [m for found in inner for m in found] or tagged or models
    return tuple(keys), sorted({str(name) for candidate in known for name in _names(candidate)})


def _names(model: Any) -> dict[str | int, FieldInfo]:
    """The keys of a model as a file spells them, each with its field."""
    known: dict[str, FieldInfo] = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in known.items()}


def _tags(model: type[BaseModel]) -> set[str]:
    kind = model.model_fields.get("kind")
    return set(getattr(kind.annotation, "__args__", ())) if kind is not None else set()


def _models_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_in(part)]


# A study of hundreds of rows reads a few recipes hundreds of times.
_parsed = lru_cache(maxsize=256)(parsed)


def _place(error: YAMLError, text: str) -> tuple[int, str]:
    """The line that a reader stumbled over, and over what."""
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem)))
        return (mark.line + 1 if mark else 1), _one_line(problem)
    position = getattr(error, "position", 0)
    return text.count("\n", 0, position) + 1, _one_line(str(getattr(error, "reason", error)))


def _whole_character(halves: re.Match[str]) -> str:
    character = json.loads(f'"{halves[0]}"')
    return f"\\U{ord(character):08x}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
