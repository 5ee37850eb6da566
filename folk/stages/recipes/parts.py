"""Typed sections for the parts of a method, read from the files that define them.

A filter or a degradation is a dataclass in a room that needs torch, and a recipe is checked where
there is none, so the class is read as text: each attribute becomes a required key of the same name
and type. A new part is known to recipes as soon as its file exists, and no key is written twice.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from folk.evidence.core import ranges
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Section

# The words that an attribute's type may be written with.
_WORDS: dict[str, Any] = {
    "bool": bool,
    "float": float,
    "int": int,
    "str": str,
    "tuple": tuple,
    "Literal": Literal,
    **{name: value for name, value in vars(ranges).items() if name[0].isupper()},
}


class Part(Section):
    """A part of a method, known by its kind."""

    kind: str


def parts_in(files: list[Path]) -> Any:
    """The type of a section that may hold any part defined in `files`, told apart by `kind`.

    Raises:
        InputError: an attribute's type that no YAML file could give, or two parts of one kind.
    """
    sections: dict[str, type[Part]] = {}
    for path in files:
        for definition, kind in _definitions(path):
            if kind in sections:
                raise InputError(f"{path}:{definition.lineno}: kind '{kind}' is taken; choose one")
            sections[kind] = _section(path, definition, kind)
    union: Any = None
    for section in sections.values():
        union = section if union is None else union | section
    return Annotated[union, Field(discriminator="kind")] if len(sections) > 1 else union


def _definitions(path: Path) -> Iterator[tuple[ast.ClassDef, str]]:
    """Every class of a file that gives itself a kind."""
    for node in ast.parse(path.read_bytes(), filename=str(path)).body:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                kind = getattr(statement, "value", None)
                if _name(statement) == "kind" and isinstance(kind, ast.Constant):
                    yield node, str(kind.value)


def _section(path: Path, definition: ast.ClassDef, kind: str) -> type[Part]:
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and _name(statement) != "kind":
            written = ast.unparse(statement.annotation)
            try:
                meant = eval(written, {"__builtins__": {}}, _WORDS)
            except (NameError, TypeError) as error:
                raise InputError(
                    f"{path}:{statement.lineno}: {_name(statement)}: a recipe cannot hold a"
                    f" '{written}' ({error}); write it with {', '.join(sorted(_WORDS))}"
                ) from error
            # YAML has lists where an unchangeable class has tuples.
            fields[_name(statement)] = (meant, Field(strict=False) if _is_tuple(meant) else ...)
    return create_model(definition.name, __base__=Part, **fields)


def _name(statement: ast.stmt) -> str:
    """The name that a statement declares with a type."""
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    return target.id if isinstance(target, ast.Name) else ""


def _is_tuple(meant: Any) -> bool:
    return getattr(meant, "__origin__", None) is tuple
