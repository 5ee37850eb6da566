"""YAML 1.2 as text: its plain values, and the line of each key.

libyaml finds the parts, which is thirty times as fast as a reader in Python; what a word means is
said here, because libyaml's own readers follow YAML 1.1, where `2e-4` is a text and `no` is false.
"""

import re
from typing import Any, ClassVar

import yaml

Keys = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    "-.inf": float("-inf"),
}

_PLAIN = "plain"  # the tag of a scalar that has neither quotes nor a tag of its own
_TEXT = "tag:yaml.org,2002:str"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[str | None, list[tuple[str, re.Pattern[str]]]]] = {}


_Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)


def parsed(text: str) -> tuple[Any, dict[Keys, int]]:
    """Read one document.

    Returns:
        its values, of plain types, and for the path of each key and item the line it stands on.

    Raises:
        yaml.YAMLError: the text is not YAML, repeats a key, has a key that is no scalar, names
            itself, or asks for a type that YAML 1.2 does not have.
    """
    lines: dict[Keys, int] = {}
    root = yaml.compose(text, _Loader)
    return (None if root is None else _value(root, (), lines, ())), lines


def _value(
    node: yaml.Node, keys: Keys, lines: dict[Keys, int], above: tuple[yaml.Node, ...]
) -> Any:
    if node in above:
        raise _error(node, "an anchor contains itself")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _error(key_node, "a key must be a word")
            key = key_node.value
            if key in values:
                raise _error(key_node, f"the key '{key}' stands there twice")
            lines[*keys, key] = key_node.start_mark.line + 1
            values[key] = _value(value_node, (*keys, key), lines, above)
        return values
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[*keys, index] = item.start_mark.line + 1
            items.append(_value(item, (*keys, index), lines, above))
        return items
    if node.tag == _TEXT:
        return node.value
    if node.tag != _PLAIN:
        raise _error(node, f"no type is named {node.tag}")
    return _scalar(node.value)


def _scalar(word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    if _INT.fullmatch(word):
        return int(word, 0 if word.startswith(("0o", "0x")) else 10)
    return float(word) if _FLOAT.fullmatch(word) else word


def _error(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
