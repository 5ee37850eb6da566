"""YAML 1.2 by libyaml: plain values, and the line of each key.

PyYAML's own words are those of YAML 1.1, where `2e-4` is a text and `no` is false. A reader in pure
Python, such as ruamel.yaml's, takes twenty times as long.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from folk.evidence.core.errors import brief

Keys = tuple[str | int, ...]
DEEPEST = 60  # collections inside each other
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # may steer a terminal
_DIGITS = "[0-9]+(?:_[0-9]+)*"
# YAML 1.2's core schema, with `_` inside numbers: tag -> what a plain word looks like, its value.
_WORDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": ("~|null|Null|NULL|", lambda word: None),
    "bool": ("true|True|TRUE|false|False|FALSE", lambda word: word.lower() == "true"),
    "int": (
        rf"[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+",
        lambda word: int(word, 0 if word[:2] in ("0o", "0x") else 10),
    ),
    "float": (
        rf"[-+]?(?:\.[0-9]+|{_DIGITS}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        lambda word: float(re.sub(r"\.(?=[in])", "", word.lower())),
    ),
}
_VALUES = {f"tag:yaml.org,2002:{tag}": value for tag, (_, value) in _WORDS.items()}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's way to replace them


for _tag, (_form, _) in _WORDS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_form})\Z"), first=None
    )


def parsed(text: str) -> tuple[Any, dict[Keys, int]]:
    """Read one document.

    Returns:
        its values, of plain types, and the line of each key and item by its path.

    Raises:
        yaml.YAMLError: the text is not YAML, has a duplicate key, a key that is no scalar, an
            alias, a type that YAML 1.2 does not have, a control character, a number that is not
            finite, or too many levels.
    """
    root = yaml.compose(text, _Loader)
    lines: dict[Keys, int] = {}
    return None if root is None else _value(root, (), lines, set()), lines


def _value(node: yaml.Node, keys: Keys, lines: dict[Keys, int], seen: set[int]) -> Any:
    if id(node) in seen:
        raise _error(node, "aliases are not supported; write the value again")
    seen.add(id(node))
    if len(keys) > DEEPEST:
        raise _error(node, f"more than {DEEPEST} levels")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if node.tag not in (_Loader.DEFAULT_MAPPING_TAG, _Loader.DEFAULT_SEQUENCE_TAG):
        raise _error(node, f"unknown type {node.tag}")
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*keys, index] = item.start_mark.line + 1
        return [_value(item, (*keys, i), lines, seen) for i, item in enumerate(node.value)]
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _error(key_node, "a key must be a word")
        key = key_node.value
        if key in values:
            raise _error(key_node, f"duplicate key '{key}'")
        if _CONTROL.search(key):
            raise _error(key_node, f"the key {key!r} holds a control character")
        lines[*keys, key] = key_node.start_mark.line + 1
        values[key] = _value(value_node, (*keys, key), lines, seen)
    return values


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag == _Loader.DEFAULT_SCALAR_TAG:
        if _CONTROL.search(node.value):
            raise _error(node, f"the text {node.value[:60]!r} holds a control character")
        return node.value
    if node.tag not in _VALUES:
        raise _error(node, f"unknown type {node.tag}")
    try:
        value = _VALUES[node.tag](node.value)
    except ValueError as error:  # `!!int x`, or an integer of thousands of digits
        raise _error(node, brief(error)) from error
    if isinstance(value, float) and not math.isfinite(value):  # no digest and no record holds it
        raise _error(node, f"{node.value} is no finite number")
    return value


def _error(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
